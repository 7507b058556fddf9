import { describe, expect, test } from 'vitest'
import {
  readPaxRecords,
  readPaxTime,
  writePaxRecords,
  writePaxTime,
} from '../../../../src/transfer/tar/pax.ts'

const bytes = (latin1: string) => Buffer.from(latin1, 'latin1')

describe('PAX records', () => {
  test('keep any bytes, and the length counts itself', () => {
    const records = [
      { key: 'path', value: bytes('a\nb=c\0\xff') },
      // Lengths at which one more digit is needed to say how long it is.
      ...[92, 93, 94, 95, 990, 991, 992].map((length) => ({
        key: 'k',
        value: Buffer.alloc(length),
      })),
    ]
    expect(readPaxRecords(writePaxRecords(records))).toEqual(records)
    expect(writePaxRecords([{ key: 'a', value: bytes('b') }]).toString()).toBe('6 a=b\n')
  })

  test.each(['', '6 a=b', '7 a=b\n', '5 a=b\n', 'x a=b\n', '-6 a=b\n', '6 ab1\n', '6 =ab\n'])(
    '%j is damaged, or nothing',
    (text) => {
      if (text === '') expect(readPaxRecords(bytes(text))).toEqual([])
      else expect(() => readPaxRecords(bytes(text))).toThrow('extended header is damaged')
    },
  )

  test.each([
    ['0', 0n, 0],
    ['1.5', 1n, 500_000_000],
    ['1.1234567899', 1n, 123_456_789],
    ['-1', -1n, 0],
    ['-1.25', -2n, 750_000_000],
    ['-0.25', -1n, 750_000_000],
  ])('the time %s', (text, seconds, nanoseconds) => {
    expect(readPaxTime(bytes(text), 'x')).toEqual({ seconds, nanoseconds })
    if (text.length < 12) expect(writePaxTime({ seconds, nanoseconds })).toBe(text)
  })

  test.each(['', 'x', '1e9', '--1', '1.x', '1.1234567890x', '.5', '9'.repeat(30)])(
    '%j is no time',
    (text) => {
      expect(() => readPaxTime(bytes(text), 'x')).toThrow('its time is no number')
    },
  )
})
