/** JUnit's XML, as Jenkins, GitLab and most others read it: a `testsuite` for each suite and image. */
import type { CaseResult, ImageResult, SuiteReport } from '../suite.ts'
import { escapeAttribute, escapeMarkup } from './markup.ts'

export function junitReport(report: SuiteReport): string {
  const groups = new Map<string, CaseResult[]>()
  for (const one of report.cases) {
    const name = `${one.suite} on ${one.image}`
    groups.set(name, [...(groups.get(name) ?? []), one])
  }
  const suites = [...groups].map(([name, cases]) => {
    const image = report.images.find((one) => `${one.suite} on ${one.label}` === name)
    return testsuite(name, cases, image, report.started)
  })
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${attributes({ ...countsOf(report.cases), time: report.seconds })}>`,
    ...suites,
    '</testsuites>',
  ]
  return `${lines.join('\n')}\n`
}

function testsuite(
  name: string,
  cases: readonly CaseResult[],
  image: ImageResult | undefined,
  started: string,
): string {
  const time = cases.reduce((sum, { seconds }) => sum + seconds, image?.setupSeconds ?? 0)
  const timestamp = started.replace(/\.\d+Z$/, '')
  const open = attributes({ name, ...countsOf(cases), time: round(time), timestamp })
  return [`  <testsuite ${open}>`, ...cases.map(testcase), '  </testsuite>'].join('\n')
}

function countsOf(cases: readonly CaseResult[]): Record<string, number> {
  const count = (status: CaseResult['status']) =>
    cases.filter((one) => one.status === status).length
  return {
    tests: cases.length,
    failures: count('failed'),
    errors: count('error'),
    skipped: count('skipped'),
  }
}

const elements = { failed: 'failure', error: 'error', skipped: 'skipped' } as const

function testcase(one: CaseResult): string {
  const { name, suite, image, seconds, status, reason = '', stdout, stderr } = one
  const open = attributes({ name, classname: `${suite}.${image}`, time: seconds })
  const inner = [
    ...(one.attempts > 1
      ? [`<properties><property name="attempts" value="${one.attempts}"/></properties>`]
      : []),
    ...(status === 'passed' ? [] : [`<${elements[status]} message="${escapeAttribute(reason)}"/>`]),
    ...(stdout === '' ? [] : [`<system-out>${escapeMarkup(stdout)}</system-out>`]),
    ...(stderr === '' ? [] : [`<system-err>${escapeMarkup(stderr)}</system-err>`]),
  ]
  if (inner.length === 0) return `    <testcase ${open}/>`
  const body = inner.map((line) => `      ${line}`)
  return [`    <testcase ${open}>`, ...body, '    </testcase>'].join('\n')
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escapeAttribute(String(value))}"`)
    .join(' ')
}

const round = (seconds: number): number => Math.round(seconds * 1000) / 1000
