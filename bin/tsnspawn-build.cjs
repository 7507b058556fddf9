#!/usr/bin/env -S node --max-semi-space-size=1
'use strict'
// The flag: what comes from the network is garbage as soon as it is written, 64 KiB for each small object that V8
// counts. So it collects every MiB of these, where else up to 60 MB would wait.
// Compiled code is kept in a directory of the caller's own (Node's default, below /tmp, is open to
// anybody).
const { env, getuid } = process
const cache =
  getuid() === 0 ? '/var/cache' : env.XDG_CACHE_HOME || (env.HOME && `${env.HOME}/.cache`)
if (cache) require('node:module').enableCompileCache?.(`${cache}/tsnspawn`)
void import('../dist/build/tsnspawn-build.mjs')
  .then(({ main }) => main(process.argv.slice(2)))
  .then((status) => {
    process.exitCode = status
  })
