import { expect, test } from 'vitest'
import { caseDefaults, type Expectation } from '../../../src/suites/suite.ts'
import { judgeAttempt, type Attempt } from '../../../src/suites/verdict.ts'

const attempt: Attempt = { status: 0, stdout: 'one\ntwo\n', stderr: '', cut: [] }
const judge = (made: Partial<Attempt>, wanted: Partial<Expectation> = {}) =>
  judgeAttempt({ ...attempt, ...made }, { ...caseDefaults.expect, ...wanted }, 1500)
const stdout = (wanted: Partial<Expectation['stdout']>) => ({
  stdout: { contains: [], matches: [], ...wanted },
})

test('without expectations the exit status alone counts', () => {
  expect(judge({})).toEqual({ status: 'passed' })
  expect(judge({ status: 3 })).toMatchObject({ reason: 'exit status 3, expected 0' })
  expect(judge({ status: 137, signal: 9, limits: ['memory'] })).toMatchObject({
    reason: 'exit status 137, expected 0, ended by signal 9 (limit of memory)',
  })
})

test('nothing at all is less than an empty line', () => {
  const wanted = { stderr: { contains: [], matches: [], nothing: true } } as const
  expect(judge({ stderr: '' }, wanted)).toEqual({ status: 'passed' })
  expect(judge({ stderr: '\n' }, wanted)).toMatchObject({ reason: 'stderr is not empty: ""' })
  expect(judge({ stderr: '', cut: ['stderr'] }, wanted)).toMatchObject({ status: 'failed' })
})

test('who was too slow has failed, whatever was expected', () => {
  expect(judge({ status: undefined }, { status: [1] })).toEqual({
    status: 'failed',
    reason: 'it has not ended within 1.5 s',
  })
})

test('a case can say itself that it cannot be tested here, and why', () => {
  const wanted = { skipStatus: 77 }
  expect(judge({ status: 77, stderr: 'x\nno ipv6 here\n' }, wanted)).toEqual({
    status: 'skipped',
    reason: 'no ipv6 here',
  })
})

test.each([
  [stdout({ equals: 'one\ntwo' }), undefined],
  [stdout({ equals: 'one\n2' }), 'stdout differs: line 2 is "two", expected "2"'],
  [stdout({ equals: 'one' }), 'stdout has more lines than expected: "two"'],
  [stdout({ equals: 'one\ntwo\nthree' }), 'stdout differs: line 3 is missing, expected "three"'],
  [stdout({ equals: '' }), 'stdout is not empty: "one"'],
  [stdout({ contains: ['two', 'three'] }), 'stdout does not contain "three"'],
  [stdout({ matches: ['^t.o$'] }), undefined],
  [stdout({ matches: ['^o$'] }), 'stdout does not match "^o$"'],
])('output is compared: %j', (wanted, reason) => {
  const verdict = judge({}, wanted)
  expect(verdict).toEqual(
    reason === undefined ? { status: 'passed' } : { status: 'failed', reason },
  )
})
