/** A program for the tests: loads the seccomp programs of its first argument, then runs the others. */
import { spawnSync } from 'node:child_process'
import { loadSeccompProgram, type LoadableSeccompProgram } from '../../../src/sys/seccomp.ts'

const [programs, command, ...args] = process.argv.slice(2)
for (const program of JSON.parse(programs!) as LoadableSeccompProgram[]) loadSeccompProgram(program)
process.exitCode = spawnSync(command!, args, { stdio: 'inherit' }).status ?? 1
