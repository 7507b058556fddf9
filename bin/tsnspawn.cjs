#!/usr/bin/env -S node --single-threaded-gc --no-concurrent-recompilation
'use strict'
// The two flags keep V8 from handing work to threads that a forked child does not have. Compiled code
// is kept in a directory of the caller's own (Node's default, below /tmp, is open to anybody).
const { env, getuid } = process
const cache =
  getuid() === 0 ? '/var/cache' : env.XDG_CACHE_HOME || (env.HOME && `${env.HOME}/.cache`)
if (cache) require('node:module').enableCompileCache?.(`${cache}/tsnspawn`)
void require('../dist/tsnspawn.cjs')
  .main(process.argv.slice(2))
  .then((status) => {
    process.exitCode = status
  })
