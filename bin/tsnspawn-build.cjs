#!/usr/bin/env node
'use strict'
require('node:module').enableCompileCache?.()
void import('../dist/build/tsnspawn-build.mjs')
  .then(({ main }) => main(process.argv.slice(2)))
  .then((status) => {
    process.exitCode = status
  })
