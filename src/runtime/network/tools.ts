/** iproute2 and nftables, which know how links and rules are made. ip(8), nft(8), nsenter(1) */
import { NspawnError } from '../../errors.ts'
import { runHostProgram } from '../host-program.ts'

const TIMEOUT_MS = 30_000

/** @param step what it is for, in words. @throws NspawnError `PROGRAM_…` */
export function ip(step: string, ...words: readonly string[]): string {
  return run(step, ['ip', ...words], 'iproute2')
}

/** The same in the network namespace of a process. */
export function ipOf(pid: number, step: string, ...words: readonly string[]): string {
  return run(step, ['nsenter', `--net=/proc/${pid}/ns/net`, 'ip', ...words], 'iproute2')
}

/** What `ip -json` has printed: nothing at all stands for an empty list. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- who asks knows what ip(8) answers
export function told<T>(text: string): readonly T[] {
  return text === '' ? [] : (JSON.parse(text) as readonly T[])
}

/** All of it or nothing. */
export function nft(step: string, script: string): string {
  return run(step, ['nft', script], 'nftables')
}

/** Where it is no matter whether there was something to take away. */
export function quietly(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
  }
}

function run(step: string, argv: readonly [string, ...string[]], packageName: string): string {
  try {
    return runHostProgram(step, argv, TIMEOUT_MS)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'PROGRAM_NOT_FOUND') throw error
    throw new NspawnError(step, {
      code: error.code,
      operation: argv[0],
      hint: `install the package ${packageName}`,
    })
  }
}
