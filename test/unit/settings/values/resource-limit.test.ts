import { expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { parseResourceLimit } from '../../../../src/settings/values/resource-limit.ts'

test.each<[string, string, number | null, number | null]>([
  ['NOFILE=1024', 'NOFILE', 1024, 1024],
  ['RLIMIT_NOFILE=1:2', 'NOFILE', 1, 2],
  ['LimitNOFILE=0', 'NOFILE', 0, 0],
  ['NOFILE=infinity', 'NOFILE', null, null],
  ['NOFILE=5:infinity', 'NOFILE', 5, null],
  ['NOFILE=0x10', 'NOFILE', 16, 16],
  ['AS=1K:1.5K', 'AS', 1024, 1536],
  ['MSGQUEUE=1K', 'MSGQUEUE', 1024, 1024],
  ['CPU=90', 'CPU', 90, 90],
  ['CPU=500ms', 'CPU', 1, 1],
  ['CPU=1.5s:5min', 'CPU', 2, 300],
  ['CPU=1min:infinity', 'CPU', 60, null],
  ['RTTIME=5', 'RTTIME', 5, 5],
  ['RTTIME=5s', 'RTTIME', 5_000_000, 5_000_000],
  ['NICE=-20', 'NICE', 40, 40],
  ['NICE=+19', 'NICE', 1, 1],
  ['NICE=-0', 'NICE', 20, 20],
  ['NICE=30', 'NICE', 30, 30],
  ['NICE=0', 'NICE', 0, 0],
  ['NICE=+5:-5', 'NICE', 15, 25],
])('%s sets %s to %s:%s', (text, name, soft, hard) => {
  expect(parseResourceLimit(text)).toEqual({ name, limit: { soft, hard } })
})

test('the greatest limit stays below the 64 bits that mean infinity', () => {
  const { limit } = parseResourceLimit('NOFILE=18446744073709551614')
  expect(BigInt(limit.soft ?? 0)).toBeLessThan(2n ** 64n - 1n)
  expect(BigInt(limit.soft ?? 0)).toBeGreaterThan(2n ** 63n)
})

// Each was tried with systemd-nspawn 252, which refuses it too.
test.each([
  '',
  'NOFILE',
  'a=b',
  'nofile=1',
  'LIMITNOFILE=5',
  'toString=1',
  'NOFILE=',
  'NOFILE=1:',
  'NOFILE=:1',
  'NOFILE=:',
  'NOFILE=1:2:3',
  'NOFILE=-1',
  'NOFILE=1K',
  'NOFILE=inf',
  'NOFILE=10:5',
  'NOFILE=infinity:5',
  'NOFILE=18446744073709551615',
  'AS=1KB',
  'AS=1k',
  'AS=16E',
  'CPU=x',
  'CPU=-1',
  'CPU=',
  'CPU=2:1s',
  'NICE=-21',
  'NICE=+20',
  'NICE=41',
  'NICE=infinity',
  'NICE=-5:+5',
  'RTPRIO=1K',
  'SIGPENDING=1K',
  'LOCKS=1K',
  'NPROC=1K',
])('"%s" is refused', (text) => {
  expect(() => parseResourceLimit(text)).toThrow(NspawnError)
})
