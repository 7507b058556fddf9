#!/usr/bin/env -S node --single-threaded-gc --no-concurrent-recompilation --no-concurrent-sparkplug --min-semi-space-size=4
'use strict'
// The flags: src/runtime/fork-safe-flags.ts
const { loadBundle } = require('../dist/start.cjs')
const { main, exit } = loadBundle(require('node:path').join(__dirname, '../dist/tsnspawn.cjs'))
void main(process.argv.slice(2)).then(exit)
