/**
 * A program that is run to its end while nothing else happens: by a supervisor, whose event loop stands still, or which
 * has none at all, and which reaps every child that it finds; or by a process of the container.
 */
import { NspawnError } from '../errors.ts'
import { close, fileInMemory, pipe, poll, read, POLLIN } from '../sys/fd.ts'
import { forkChildWithHeap, forkWithHeap } from '../sys/fork.ts'
import { kill, waitForChild, SIGKILL } from '../sys/process.ts'
import { becomeProgram, NOT_FOUND, type AnsweringProgram } from './become-program.ts'
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
  const [name] = argv
  return runProgram({
    step,
    name,
    paths: DIRECTORIES.map((directory) => `${directory}/${name}`),
    argv,
    environment: [`PATH=${DIRECTORIES.join(':')}`, 'LC_ALL=C.UTF-8'],
    timeoutMs,
  })
}

export interface Program extends Pick<
  AnsweringProgram,
  'paths' | 'argv' | 'environment' | 'prepare'
> {
  /** What it is run for, in words. */
  readonly step: string
  /** What messages call it. */
  readonly name: string
  /** What it finds on stdin; undefined: nothing. */
  readonly input?: string
  /** After which it is killed; undefined: it may take what it takes. */
  readonly timeoutMs: number | undefined
}

/**
 * Runs a program to its end.
 *
 * @returns what it wrote
 * @throws NspawnError with the program as operation, and what it wrote; `TIMED_OUT`, `PROGRAM_NOT_FOUND`
 */
export function runProgram(program: Program): string {
  const { step, name: operation, input, timeoutMs = Infinity, ...rest } = program
  const [output, theirs] = pipe()
  const told = input === undefined ? undefined : fileInMemory(operation, input)
  const pid = isForked() ? forkChildWithHeap() : forkWithHeap()
  if (pid === 0) {
    becomeProgram({
      ...rest,
      ...(told === undefined ? {} : { input: told }),
      output: theirs,
      errors: 'with the output',
    })
  }
  close(theirs)
  if (told !== undefined) close(told)
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
    const waitMs = leftMs === Infinity ? -1 : Math.ceil(leftMs)
    if (poll([{ fd, events: POLLIN }], waitMs)[0] === 0) continue
    const count = read(fd, buffer.subarray(length)) ?? 0
    length += count
    if (count === 0 || length === buffer.length) return buffer.toString('utf8', 0, length).trimEnd()
  }
}
