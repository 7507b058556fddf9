/** Asking the container's own name service, through its getent; for users that its files do not hold. */
import { readSync } from 'node:fs'
import { close, closeOnExecAllBut, duplicateTo, open, pipe, O_RDWR } from '../sys/fd.ts'
import { forkChildWithHeap } from '../sys/fork.ts'
import {
  endAfter,
  execute,
  exitProcess,
  resetSignalHandlers,
  setSignalMask,
  waitForChild,
} from '../sys/process.ts'

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
    try {
      const none = open('/dev/null', O_RDWR)
      duplicateTo(none, 0)
      duplicateTo(input, 1)
      duplicateTo(none, 2)
      closeOnExecAllBut([])
      resetSignalHandlers()
      setSignalMask([])
      confine()
      endAfter(MAX_SECONDS)
      for (const program of ['/usr/bin/getent', '/bin/getent']) {
        try {
          execute(program, ['getent', database, key], [])
        } catch {
          // Not there: try the next place.
        }
      }
    } finally {
      exitProcess(1)
    }
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
