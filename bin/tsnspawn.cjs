#!/usr/bin/env -S node --single-threaded-gc --no-concurrent-recompilation
'use strict'
// The two flags keep V8 from handing work to threads that a forked child does not have.
void require('../dist/tsnspawn.cjs')
  .main(process.argv.slice(2))
  .then((status) => {
    process.exitCode = status
  })
