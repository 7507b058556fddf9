import { describe, expect, test } from 'vitest'
import { numberAt, readHeader, writeExtendedHeader } from '../../../../src/transfer/tar/header.ts'
import { entry } from '../../../fixtures/archives/by-hand.ts'

const field = (...bytes: number[]) => Buffer.from(bytes)
const text = (latin1: string) => Buffer.from(latin1, 'latin1')

describe('numbers in headers', () => {
  test.each([
    ['octal with a NUL', text('0000644\0'), 0o644],
    ['octal with blanks in front', text('   644 \0'), 0o644],
    ['octal that fills the field', text('77777777'), 0o77777777],
    ['nothing', text('\0\0\0\0\0\0\0\0'), 0],
    ['base 256', field(0x80, 0, 0, 1, 0, 0, 0, 2), 0x100000002],
    ['base 256, negative', field(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe), -2],
  ])('%s', (_, bytes, value) => {
    expect(numberAt(bytes, 0, bytes.length)).toBe(value)
  })

  test.each([
    ['other characters', text('12x4567\0')],
    ['a digit that is not octal', text('0000008\0')],
    ['more than can be counted', field(0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
  ])('%s: is none', (_, bytes) => {
    expect(numberAt(bytes, 0, bytes.length)).toBeUndefined()
  })
})

test('a checksum of signed bytes, as old writers made it, is right too', () => {
  const block = entry({ path: 'caf\xe9' })
  const unsigned = parseInt(block.toString('latin1', 148, 154), 8)
  block.write((unsigned - 256).toString(8).padStart(6, '0'), 148)
  expect(readHeader(block)).toMatchObject({ path: 'caf\xe9' })
  block.write((unsigned - 255).toString(8).padStart(6, '0'), 148)
  expect(readHeader(block)).toBeUndefined()
})

test('only POSIX headers have the beginning of a long name at the end', () => {
  const change = (block: Buffer) => void block.write('front', 345)
  expect(readHeader(entry({ path: 'x', change }))).toMatchObject({ path: 'front/x' })
  expect(readHeader(entry({ path: 'x', change, magic: 'gnu' }))).toMatchObject({ path: 'x' })
  expect(readHeader(entry({ path: 'x', change, magic: 'none' }))).toMatchObject({ path: 'x' })
})

test('the header that is written before PAX records is read', () => {
  expect(readHeader(writeExtendedHeader(123_456))).toMatchObject({ flag: 'x', size: 123_456 })
})
