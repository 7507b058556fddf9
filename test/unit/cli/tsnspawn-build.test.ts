import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { sizeOrNone } from '../../../src/cli/option-values.ts'
import { formatBytes } from '../../../src/cli/size.ts'
import { exitCodes } from '../../../src/cli/exit-codes.ts'
import { formatTable } from '../../../src/cli/table.ts'
import { formatTime } from '../../../src/cli/time.ts'
import { main } from '../../../src/cli/tsnspawn-build.ts'
import { verbs } from '../../../src/cli/verbs.ts'

const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')

test.each([
  ['an unknown verb', ['nosuch']],
  ['no verb', []],
  ['an unknown option', ['create', 'debian', '--nosuch']],
  ['a missing argument', ['create']],
  ['too many arguments', ['create', 'debian', 'one', 'two']],
  ['an unknown recipe', ['create', 'nosuch']],
  ['a name and a directory', ['create', 'debian', 'x', '--directory=/y']],
  ['a password in clear', ['create', 'debian', '--root-password=secret']],
  ['an image that is not there', ['--machines-dir=/nonexistent', 'run', 'nosuch']],
  ['a format that is not there', ['images', '--output=xml']],
  ['a state directory below /proc', ['--state-dir=/proc/x', 'images']],
])('%s is bad usage', async (_what, argv) => {
  expect(await main(['--quiet', ...argv])).toBe(exitCodes.usage)
})

test('help of each verb is there, and ends well', async () => {
  for (const verb of verbs) expect(await main(['help', verb.name])).toBe(0)
})

test('the page of the command line has every verb and every exit status', () => {
  for (const { name } of verbs) expect(page).toMatch(new RegExp(`^\\| \`${name}[ \`]`, 'm'))
  const rows = [...page.matchAll(/^\| (\d+) \| (\w+) \|/gm)].map(([, status, name]) => [
    name,
    Number(status),
  ])
  expect(Object.fromEntries(rows)).toEqual(exitCodes)
})

test('tables line up, numbers to the right, and no line ends in blanks', () => {
  const columns = [
    { title: 'NAME' },
    { title: 'USAGE', align: 'right' },
    { title: 'PATH' },
  ] as const
  expect(
    formatTable(columns, [
      ['a', '8.0M', ''],
      ['long', '', '/x'],
    ]),
  ).toBe('NAME USAGE PATH\na     8.0M\nlong       /x')
})

test('sizes and dates are written as systemd writes them', () => {
  expect([512, 8_388_608, 1_610_612_736].map(formatBytes)).toEqual(['512B', '8.0M', '1.5G'])
  expect(formatTime(1_795_317_952_000_000)).toBe('Sun 2026-11-22 03:25:52 UTC')
  expect(formatTime(0)).toBe('-')
})

test('limits are read with units of 1024, and what is none is refused', () => {
  expect(['4096', '8K', '1.5G', '1G512M'].map(sizeOrNone)).toEqual([
    ...[4096, 8192, 1_610_612_736, 1_610_612_736],
  ])
  expect(['-', 'none', 'infinity'].map(sizeOrNone)).toEqual([undefined, undefined, undefined])
  for (const text of ['', 'x', '-5', '2TB', '512M1G', '5X', '1e3', '9'.repeat(400)])
    expect(() => sizeOrNone(text)).toThrow('is no size')
})
