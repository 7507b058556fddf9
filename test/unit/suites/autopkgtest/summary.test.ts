import { expect, test } from 'vitest'
import { summaryOf } from '../../../../src/suites/autopkgtest/summary.ts'
import type { CaseResult } from '../../../../src/suites/suite.ts'

const ended: CaseResult = {
  ...{ suite: 'greet 1.0', image: 'box', name: 'one', status: 'passed', attempts: 1 },
  ...{ startedSeconds: 0, seconds: 1, exitStatus: 0, stdout: '', stderr: '', files: [] },
}
type Change = { readonly [field in keyof CaseResult]?: CaseResult[field] | undefined }
const line = (change: Change, ...restrictions: readonly string[]) =>
  summaryOf([{ ...ended, ...change } as CaseResult], [{ name: 'one', restrictions }])
const unbegun = { attempts: 0, exitStatus: undefined } as const

test.each<[string, Change, ...string[]]>([
  ['PASS', {}],
  ['PASS (superficial)', {}, 'superficial'],
  ['FAIL non-zero exit status 3', { status: 'failed', exitStatus: 3 }],
  ['FAIL stderr: oops', { status: 'failed', stderr: 'oops\nmore\n' }],
  [
    'FAIL timed out',
    { status: 'failed', exitStatus: undefined, reason: 'it has not ended within 3 s' },
  ],
  ['FAIL there is no x', { ...unbegun, status: 'failed', reason: 'there is no\nx' }],
  ['FLAKY non-zero exit status 1', { status: 'skipped', exitStatus: 1 }, 'flaky'],
  ['FLAKY non-zero exit status 77', { status: 'skipped', exitStatus: 77 }, 'flaky'],
  [
    'SKIP exit status 77 and marked as skippable',
    { status: 'skipped', exitStatus: 77, reason: 'no ipv6' },
    ...['flaky', 'skippable'],
  ],
  [
    'SKIP unknown restriction x',
    { ...unbegun, status: 'skipped', reason: 'unknown restriction x' },
  ],
  [
    'FAIL badpkg',
    {
      ...{ ...unbegun, status: 'error', reason: 'cannot install' },
      error: { code: 'DEPENDENCY_UNSATISFIABLE', message: 'cannot install' },
    },
  ],
  ['FAIL no kernel', { ...unbegun, status: 'error', reason: 'no kernel' }],
])('%s is what autopkgtest says, too', (words, change, ...restrictions) => {
  expect(line(change, ...restrictions)).toBe(`${'one'.padEnd(20)} ${words}\n`)
})
