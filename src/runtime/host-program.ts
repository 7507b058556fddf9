/**
 * A program of the host, run by a supervisor while nothing else happens: its event loop stands still, or it has none at
 * all, and it reaps every child that it finds.
 */
import { NspawnError } from '../errors.ts'
import { close, pipe, poll, read, POLLIN } from '../sys/fd.ts'
import { forkChildWithHeap, forkWithHeap } from '../sys/fork.ts'
import { kill, waitForChild, SIGKILL } from '../sys/process.ts'
import { becomeProgram, NOT_FOUND } from './become-program.ts'
import { ownerOf } from '../owner.ts'

const DIRECTORIES = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']
/** Routes of a large host take some room. */
const OUTPUT_MAX_BYTES = 4 << 20

/**
 * Runs a program to its end, with an environment of nothing but a PATH.
 *
 * @param step what it is run for, in words
 * @returns what it wrote
 * @throws NspawnError with the program as operation, and what it wrote; `TIMED_OUT`, `PROGRAM_NOT_FOUND`
 */
export function runHostProgram(
  step: string,
  argv: readonly [string, ...string[]],
  timeoutMs: number,
): string {
  const [operation] = argv
  const [output, input] = pipe()
  const pid = isForked() ? forkChildWithHeap() : forkWithHeap()
  if (pid === 0) {
    becomeProgram({
      paths: DIRECTORIES.map((directory) => `${directory}/${operation}`),
      argv,
      environment: [`PATH=${DIRECTORIES.join(':')}`, 'LC_ALL=C.UTF-8'],
      output: input,
      errors: 'with the output',
    })
  }
  close(input)
  const text = readUntil(output, performance.now() + timeoutMs)
  close(output)
  if (text === undefined) kill(pid, SIGKILL)
  const reason = waitForChild(pid)?.reason
  if (text === undefined) {
    throw new NspawnError(`${step}: no answer within ${timeoutMs / 1000} s`, {
      code: 'TIMED_OUT',
      operation,
    })
  }
  const status = reason?.kind === 'exited' ? reason.status : undefined
  if (status === 0) return text
  throw new NspawnError(text === '' ? step : `${step}: ${text}`, {
    code: status === NOT_FOUND ? 'PROGRAM_NOT_FOUND' : 'PROGRAM_FAILED',
    operation,
    status,
  })
}

/** Node knows the pid that it was started with, and a forked process has another one. */
function isForked(): boolean {
  return ownerOf('self')?.pid !== process.pid
}

/** Everything up to the end, without the last line's end; undefined when that does not come in time. */
function readUntil(fd: number, deadlineMs: number): string | undefined {
  const buffer = Buffer.allocUnsafe(OUTPUT_MAX_BYTES)
  let length = 0
  for (;;) {
    const leftMs = deadlineMs - performance.now()
    if (leftMs <= 0) return undefined
    if (poll([{ fd, events: POLLIN }], Math.ceil(leftMs))[0] === 0) continue
    const count = read(fd, buffer.subarray(length)) ?? 0
    length += count
    if (count === 0 || length === buffer.length) return buffer.toString('utf8', 0, length).trimEnd()
  }
}
