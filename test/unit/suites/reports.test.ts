import { expect, test } from 'vitest'
import { reportFormats } from '../../../src/suites/reports/report.ts'
import type { CaseResult, SuiteReport } from '../../../src/suites/suite.ts'

const one = (change: Partial<CaseResult>): CaseResult => ({
  suite: 'basics',
  image: 'box',
  name: 'first',
  status: 'passed',
  attempts: 1,
  startedSeconds: 0.5,
  seconds: 1,
  exitStatus: 0,
  stdout: '',
  stderr: '',
  files: [],
  ...change,
})
const report: SuiteReport = {
  format: 1,
  tool: { name: 'tsnspawn-build', version: '1' },
  result: 'failed',
  started: '2026-01-02T03:04:05.678Z',
  seconds: 4,
  counts: { passed: 1, failed: 1, error: 0, skipped: 1 },
  images: [{ suite: 'basics', label: 'box', tree: '/t', startedSeconds: 0, setupSeconds: 0.5 }],
  cases: [
    one({}),
    one({
      name: 'a < b & "c" # d',
      status: 'failed',
      reason: 'exit status 3, expected 0',
      exitStatus: 3,
      attempts: 2,
      stdout: 'said\u0000 <b> ]]>\u001b[1m\n',
      log: '/out/box/a/output.log',
    }),
    one({ name: 'third', status: 'skipped', reason: 'no\nnetwork', attempts: 0, seconds: 0 }),
  ],
}

test('JUnit has a suite for each image, and nothing that XML cannot have', () => {
  const text = reportFormats.junit(report)
  expect(text).toContain('<testsuites tests="3" failures="1" errors="0" skipped="1" time="4">')
  expect(text).toContain(
    '<testsuite name="basics on box" tests="3" failures="1" errors="0" skipped="1" time="2.5" timestamp="2026-01-02T03:04:05">',
  )
  expect(text).toContain('<testcase name="a &lt; b &amp; &quot;c&quot; # d" classname="basics.box"')
  expect(text).toContain('<failure message="exit status 3, expected 0"/>')
  expect(text).toContain('<property name="attempts" value="2"/>')
  // oxlint-disable-next-line no-control-regex -- finding them is the point
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/)
  expect(text).not.toContain('<b>')
})

test('TAP counts its points, says why, and escapes what would be a directive', () => {
  expect(reportFormats.tap(report).split('\n').slice(0, 8)).toEqual([
    'TAP version 14',
    '1..3',
    'ok 1 - basics / box / first',
    'not ok 2 - basics / box / a < b & "c" \\# d',
    '  ---',
    '  severity: fail',
    '  message: exit status 3, expected 0',
    '  status: 3',
  ])
  expect(reportFormats.tap(report)).toContain('ok 3 - basics / box / third # SKIP no network\n')
})

test('JSON is the report itself', () => {
  expect(JSON.parse(reportFormats.json(report))).toEqual(report)
})

test('HTML shows each case in its image, links what went wrong, and takes no markup from outside', () => {
  const text = reportFormats.html(report)
  expect(text).toContain('<td class="passed" title="">passed, 1.0 s</td>')
  expect(text).toMatch(/<td class="failed" title="exit status 3, expected 0"><a href="#([^"]+)">/)
  const id = /href="#([^"]+)"/.exec(text)?.[1] ?? ''
  expect(text).toContain(`<h3 id="${id}">`)
  expect(text).not.toContain('<b>')
  expect(text).not.toContain('a < b')
  expect(text).toMatch(/class="bar failed" style="left:12\.50%;width:25\.00%"/)
})
