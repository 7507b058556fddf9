/** What came of the tests in the words of autopkgtest(1)'s file `summary`, for those who read these. Pure. */
import type { CaseResult } from '../suite.ts'
import type { PackageTest } from './tests-control.ts'

/** In the output directory. */
export const summaryName = 'summary'

/** Widest name that keeps the columns. */
const nameWidth = 20

/** A line for each test: its name and PASS, FAIL, FLAKY or SKIP, with the reason. */
export function summaryOf(
  cases: readonly CaseResult[],
  tests: readonly Pick<PackageTest, 'name' | 'restrictions'>[],
): string {
  return cases
    .map((one) => {
      const restrictions = tests.find(({ name }) => name === one.name)?.restrictions ?? []
      return `${one.name.padEnd(nameWidth)} ${outcomeOf(one, restrictions)}\n`
    })
    .join('')
}

function outcomeOf(one: CaseResult, restrictions: readonly string[]): string {
  const has = (word: string) => restrictions.includes(word)
  if (one.status === 'passed') return has('superficial') ? 'PASS (superficial)' : 'PASS'
  if (one.status === 'error') {
    const unmet = one.error?.code.startsWith('DEPENDENCY_') === true
    return unmet ? 'FAIL badpkg' : `FAIL ${oneLine(one.reason ?? '')}`
  }
  if (one.status === 'failed') return `FAIL ${whyFailed(one)}`
  if (one.attempts === 0) return `SKIP ${oneLine(one.reason ?? '')}`
  return has('skippable') && one.exitStatus === 77
    ? 'SKIP exit status 77 and marked as skippable'
    : `FLAKY ${whyFailed(one)}`
}

function whyFailed({ attempts, exitStatus, reason = '', stderr }: CaseResult): string {
  if (attempts === 0) return oneLine(reason)
  if (exitStatus === undefined) return /within .* s$/.test(reason) ? 'timed out' : oneLine(reason)
  return exitStatus === 0
    ? `stderr: ${stderr.split('\n')[0]!.trimEnd()}`
    : `non-zero exit status ${exitStatus}`
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')
