import { expect, test } from 'vitest'
import { bareChecksum, checksumsOf } from '../../../../src/transfer/pull/checksum-list.ts'

const a = 'a1'.repeat(32)
const b = 'b2'.repeat(32)

test.each([
  ["GNU's text form", `${a}  f.tar\n`],
  ["GNU's binary form", `${a} *f.tar\n`],
  ['a line end of another system', `${a}  f.tar\r\n${b}  g\r\n`],
  ['large letters', `${a.toUpperCase()}  f.tar\n`],
  ['a leading ./', `${a}  ./f.tar\n`],
  ['a single blank', `${a} f.tar\n`],
  ["BSD's form", `SHA256 (f.tar) = ${a}\n`],
  ['no newline at the end', `${b}  g\n${a}  f.tar`],
])('a list is read with %s', (_what, list) => {
  expect(checksumsOf(list, 'f.tar')).toEqual([a])
})

test.each([
  ['the end of a longer name', `${a}  xf.tar\n`],
  ['the beginning of a longer name', `${a}  f.tar.xz\n`],
  ['in a directory', `${a}  d/f.tar\n`],
  ['another file', `${a}  g\n`],
  ['a hash that is too long', `${a}1  f.tar\n`],
  ['a hash that is too short', `${a.slice(1)}  f.tar\n`],
  ['in the middle of a line', `# ${a}  f.tar\n`],
])('a name is not found in a list that has it only as %s', (_what, list) => {
  expect(checksumsOf(list, 'f.tar')).toEqual([])
})

test('a list that names a file twice has both', () => {
  expect(checksumsOf(`${a}  f\n${b}  f\n`, 'f')).toEqual([a, b])
})

test('a file may hold nothing but the checksum', () => {
  expect(bareChecksum(`${a.toUpperCase()}\n`)).toBe(a)
  expect(bareChecksum(`${a}  f\n`)).toBeUndefined()
})
