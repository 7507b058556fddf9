#!/usr/bin/env -S node --single-threaded-gc --no-concurrent-recompilation --no-concurrent-sparkplug
'use strict'
// The flags keep V8 from handing work to threads that a forked child does not have. Compiled code
// is kept in a directory of the caller's own (Node's default, below /tmp, is open to anybody).
const { env, getuid } = process
const cache =
  getuid() === 0 ? '/var/cache' : env.XDG_CACHE_HOME || (env.HOME && `${env.HOME}/.cache`)
if (cache) require('node:module').enableCompileCache?.(`${cache}/tsnspawn`)
const { main } = require('../dist/tsnspawn.cjs')
void main(process.argv.slice(2)).then((status) => {
  require('node:module').flushCompileCache?.()
  // Everything is written and released: taking Node down piece by piece would only cost time.
  process.reallyExit(status)
})
