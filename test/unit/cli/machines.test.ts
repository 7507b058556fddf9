import { expect, test } from 'vitest'
import { table } from '../../../src/cli/commands/list.ts'
import { formatAge } from '../../../src/cli/time.ts'

const row = { machine: 'deb', class: 'container', service: 'systemd-nspawn', os: 'debian' }

test('machines are listed as machinectl does, with an ellipsis for addresses that are left out', () => {
  const rows = [
    { ...row, version: '12', addresses: '192.0.2.1\nfe80::1' },
    { ...row, machine: 'm', version: null, addresses: null },
  ]
  expect(table(rows, true, 1)).toBe(
    [
      'MACHINE CLASS     SERVICE        OS     VERSION ADDRESSES',
      'deb     container systemd-nspawn debian 12      192.0.2.1…',
      'm       container systemd-nspawn debian -       -',
      '',
      '2 machines listed.',
    ].join('\n'),
  )
  expect(table(rows, false, Infinity).split('\n')).toEqual([
    'deb     container systemd-nspawn debian 12      192.0.2.1',
    '                                                fe80::1',
    'm       container systemd-nspawn debian -       -',
  ])
  expect(table(rows, false, 0).split('\n')[0]).toBe('deb     container systemd-nspawn debian 12')
})

test('nothing to list is said, unless the legend is off', () => {
  expect(table([], true, 1)).toBe('No machines.')
  expect(table([], false, 1)).toBe('')
})

test.each([
  [0, 'now'],
  [59, '59s ago'],
  [182, '3min 2s ago'],
  [301, '5min ago'],
  [3900, '1h 5min ago'],
  [7 * 3600, '7h ago'],
  [26 * 3600, '1 day 2h ago'],
  [3 * 86400, '3 days ago'],
  [8 * 86400, '1 week 1 day ago'],
  [40 * 86400, '1 month 9 days ago'],
])('%i seconds are "%s"', (seconds, text) => {
  expect(formatAge(0, seconds * 1000)).toBe(text)
})
