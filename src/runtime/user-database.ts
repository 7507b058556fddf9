/** Asking the container's own name service, through its getent; for users that its files do not hold. */
import { readSync } from 'node:fs'
import { close, pipe } from '../sys/fd.ts'
import { forkChildWithHeap } from '../sys/fork.ts'
import { endAfter, waitForChild } from '../sys/process.ts'
import { becomeProgram } from './become-program.ts'

const MAX_ANSWER_BYTES = 64 * 1024

/** A tree that does not answer in this time has no such entry. */
const MAX_SECONDS = 10

/**
 * The first line of `getent DATABASE KEY`, run with an empty environment; undefined when it knows no such entry, or
 * the tree has no getent.
 *
 * @param confine called in the process that becomes getent, to leave it no more than the payload will have
 */
export function queryDatabase(
  database: 'passwd' | 'initgroups',
  key: string,
  confine: () => void,
): string | undefined {
  const [output, input] = pipe()
  const pid = forkChildWithHeap()
  if (pid === 0) {
    becomeProgram({
      paths: ['/usr/bin/getent', '/bin/getent'],
      argv: ['getent', database, key],
      environment: [],
      output: input,
      errors: 'nowhere',
      prepare: () => {
        confine()
        endAfter(MAX_SECONDS)
      },
    })
  }
  close(input)
  const buffer = Buffer.alloc(MAX_ANSWER_BYTES)
  let length = 0
  for (let n = 1; n > 0 && length < buffer.length; length += n) {
    n = readSync(output, buffer, length, buffer.length - length, null)
  }
  close(output)
  waitForChild(pid)
  const [line] = buffer.toString('utf8', 0, length).split('\n')
  return line === undefined || line === '' ? undefined : line
}
