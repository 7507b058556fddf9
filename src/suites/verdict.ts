/** What an attempt is worth: compared with what was expected of it. Pure. */
import type { Expectation, OutputExpectation } from './suite.ts'

/** How a case's command has ended. */
export interface Attempt {
  /** Absent when it was ended for the time limit. */
  readonly status: number | undefined
  /** The number of the signal that ended it. */
  readonly signal?: number | undefined
  readonly stdout: string
  readonly stderr: string
  /** Of which stream lines have been left out. */
  readonly cut: readonly ('stdout' | 'stderr')[]
  /** Limits at which the kernel ended a process. */
  readonly limits?: readonly string[] | undefined
}

export type Verdict =
  | { readonly status: 'passed' }
  | { readonly status: 'failed' | 'skipped'; readonly reason: string }

/** Judges an attempt; the first thing that is wrong is told. */
export function judgeAttempt(attempt: Attempt, expect: Expectation, timeoutMs: number): Verdict {
  const { status } = attempt
  if (status === undefined)
    return { status: 'failed', reason: `it has not ended within ${timeoutMs / 1000} s` }
  if (expect.skipStatus !== undefined && status === expect.skipStatus)
    return { status: 'skipped', reason: lastLine(attempt) ?? `exit status ${status}` }
  if (!expect.status.includes(status)) {
    const by = attempt.signal === undefined ? '' : `, ended by signal ${attempt.signal}`
    const hit = attempt.limits?.[0] === undefined ? '' : ` (limit of ${attempt.limits[0]})`
    const wanted = expect.status.join(' or ')
    return { status: 'failed', reason: `exit status ${status}, expected ${wanted}${by}${hit}` }
  }
  for (const stream of ['stdout', 'stderr'] as const) {
    const isCut = attempt.cut.includes(stream)
    const reason = compare(attempt[stream], expect[stream], isCut)
    if (reason === undefined) continue
    const cut = isCut ? ' (only its first MiB was looked at)' : ''
    return { status: 'failed', reason: `${stream} ${reason}${cut}` }
  }
  return { status: 'passed' }
}

function compare(text: string, expected: OutputExpectation, isCut: boolean): string | undefined {
  const { nothing, equals, contains, matches } = expected
  if (nothing === true && (text !== '' || isCut))
    return `is not empty: ${shown(text.split('\n')[0]!)}`
  if (equals !== undefined && trimmed(text) !== trimmed(equals)) return difference(text, equals)
  const absent = contains.find((part) => !text.includes(part))
  if (absent !== undefined) return `does not contain ${shown(absent)}`
  const unmatched = matches.find((pattern) => !new RegExp(pattern, 'm').test(text))
  return unmatched === undefined ? undefined : `does not match ${shown(unmatched)}`
}

function difference(text: string, expected: string): string {
  const [is, wanted] = [text, expected].map((one) => trimmed(one).split('\n'))
  if (trimmed(expected) === '') return `is not empty: ${shown(is![0]!)}`
  const at = wanted!.findIndex((line, index) => line !== is![index])
  if (at < 0) return `has more lines than expected: ${shown(is![wanted!.length]!)}`
  const line = is![at]
  const says = line === undefined ? 'is missing' : `is ${shown(line)}`
  return `differs: line ${at + 1} ${says}, expected ${shown(wanted![at]!)}`
}

const trimmed = (text: string): string => text.replace(/\n+$/, '')

function shown(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function lastLine({ stdout, stderr }: Attempt): string | undefined {
  const said = trimmed(stderr) === '' ? stdout : stderr
  const line = trimmed(said).split('\n').at(-1)
  return line === undefined || line.trim() === '' ? undefined : line
}
