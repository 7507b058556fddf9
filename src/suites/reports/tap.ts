/** TAP 14, the Test Anything Protocol (https://testanything.org/tap-version-14-specification.html). */
import { stringify } from 'yaml'
import type { CaseResult, SuiteReport } from '../suite.ts'

const lastLines = 20

export function tapReport({ cases }: SuiteReport): string {
  const points = cases.flatMap((one, index) => point(one, index + 1))
  return `${['TAP version 14', `1..${cases.length}`, ...points].join('\n')}\n`
}

function point(one: CaseResult, number: number): readonly string[] {
  const { suite, image, name, status, reason = '' } = one
  const ok = status === 'passed' || status === 'skipped' ? 'ok' : 'not ok'
  const skip = status === 'skipped' ? ` # SKIP ${oneLine(reason)}` : ''
  const title = escapeDescription(`${suite} / ${image} / ${name}`)
  return [`${ok} ${number} - ${title}${skip}`, ...(ok === 'ok' ? [] : diagnosis(one))]
}

function diagnosis(one: CaseResult): readonly string[] {
  const { reason, status, exitStatus, attempts, seconds, log, stdout, stderr } = one
  const facts = {
    severity: status === 'error' ? 'error' : 'fail',
    message: reason,
    ...(exitStatus === undefined ? {} : { status: exitStatus }),
    seconds,
    attempts,
    ...(log === undefined ? {} : { log }),
    ...(stdout === '' ? {} : { stdout: tail(stdout) }),
    ...(stderr === '' ? {} : { stderr: tail(stderr) }),
  }
  const lines = stringify(facts, { lineWidth: 0 }).trimEnd().split('\n')
  return ['  ---', ...lines.map((line) => `  ${line}`), '  ...']
}

const tail = (text: string): string => text.trimEnd().split('\n').slice(-lastLines).join('\n')
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')

/** A `#` would begin a directive. */
const escapeDescription = (text: string): string => oneLine(text).replaceAll(/[\\#]/g, '\\$&')
