import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { jsonReporter } from '../../../src/cli/reporters/json.ts'
import { failureText, plainReporter, plainText } from '../../../src/cli/reporters/plain.ts'
import { terminalReporter } from '../../../src/cli/reporters/terminal.ts'
import { NspawnError } from '../../../src/errors.ts'

test('JSON is one object a line, with the time, and a failure has its code and exit status', () => {
  const out = new PassThrough()
  const reporter = jsonReporter(out)
  reporter.log({ kind: 'step', text: 'one' })
  reporter.result({ name: 'x' }, 'x is ready')
  reporter.failure(new NspawnError('no room', { code: 'ENOSPC' }), 7)
  const lines = String(out.read())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  expect(lines).toMatchObject([
    { ts: expect.stringMatching(/^\d{4}-.*Z$/), kind: 'step', text: 'one' },
    { kind: 'result', value: { name: 'x' } },
    { kind: 'error', status: 7, error: { code: 'ENOSPC', message: 'no room' } },
  ])
})

test('results go to stdout and everything else to stderr', () => {
  const [out, err] = [new PassThrough(), new PassThrough()]
  const reporter = plainReporter({ detail: 'normal', program: 'p' }, out, err)
  reporter.log({ kind: 'notice', text: 'hello' })
  reporter.result({}, 'answer')
  reporter.failure(new NspawnError('it broke', { code: 'X', hint: 'mend it' }), 1)
  expect(String(out.read())).toBe('answer\n')
  expect(String(err.read())).toBe('hello\np: it broke\n  hint: mend it\n')
})

test('plain lines carry no escape sequence and no progress', () => {
  const progress = { kind: 'progress', text: 'x', done: 1, total: 2, unit: 'files' } as const
  expect(plainText(progress, 'verbose')).toBeUndefined()
  expect(plainText({ kind: 'phase', phase: 'p', state: 'end', durationMs: 1234 }, 'normal')).toBe(
    '    done: p (1.2 s)',
  )
})

test('quiet keeps warnings, verbose adds the output of programs', () => {
  const warning = { kind: 'warning', text: 'careful' } as const
  const output = { kind: 'output', stream: 'stdout', line: 'Unpacking' } as const
  expect(plainText(warning, 'quiet')).toBe('warning: careful')
  expect(plainText({ kind: 'notice', text: 'x' }, 'quiet')).toBeUndefined()
  expect([plainText(output, 'normal'), plainText(output, 'verbose')]).toEqual([
    undefined,
    'Unpacking',
  ])
})

test('of several builds each says its name, in JSON in a field of its own', () => {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const plain = plainReporter({ detail: 'verbose', program: 'x' }, stdout, stderr)
  const build = 'hello'
  plain.log({ kind: 'phase', phase: 'fetch', state: 'start', build })
  plain.log({ kind: 'output', stream: 'stdout', line: 'make', build })
  plain.log({ kind: 'warning', text: 'slow', build })
  plain.log({ kind: 'notice', text: 'order' })
  expect(String(stderr.read())).toBe(
    '==> hello: fetch\nhello | make\nwarning: hello: slow\norder\n',
  )
  jsonReporter(stdout).log({ kind: 'output', stream: 'stdout', line: 'make', build })
  expect(JSON.parse(String(stdout.read()))).toMatchObject({ line: 'make', build })
})

test('what is no error of ours is called a bug and keeps its stack', () => {
  expect(failureText(new TypeError('x is not a function'))).toMatch(
    /^this is a bug: TypeError: x.*\n +at /,
  )
  expect(failureText(new NspawnError('no', { code: 'X' }))).toBe('no')
})

test.each([
  ['as a bar', 10_000_000, '50% x.tar, 2.0 MB/s, 1 min 5 s left'],
  ['as a line, where nobody knows how much there is', undefined, 'x.tar (5.0 MB), 2.0 MB/s'],
])('a terminal shows speed and time left %s', async (_how, total, shown) => {
  const screen = Object.assign(new PassThrough(), { isTTY: true, columns: 100 })
  const reporter = terminalReporter(
    { detail: 'normal', program: 'p' },
    new PassThrough(),
    screen as unknown as NodeJS.WriteStream,
  )
  reporter.log({
    kind: 'progress',
    text: 'x.tar',
    done: 5_000_000,
    total,
    unit: 'bytes',
    perSecond: 2_000_000,
    ...(total === undefined ? {} : { remainingSeconds: 65 }),
  })
  expect(String(screen.read())).toContain(shown)
  reporter.close()
})
