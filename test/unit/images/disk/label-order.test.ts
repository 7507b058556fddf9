import { expect, test } from 'vitest'
import { compareVersions } from '../../../../src/images/disk/label-order.ts'

/** Each is older than the next; the specification's own examples among them. */
const ascending = [
  ['~', ''],
  ['1~rc1', '1'],
  ['1~rc1', '1~rc2'],
  [
    '122.1',
    '123~rc1-1',
    '123',
    '123-a',
    '123-a.1',
    '123-a1',
    '123-a1.1',
    '123-3',
    '123-3.1',
    '123^patch1',
    '123^1',
    '123.a-1',
    '123.1-1',
    '123a-1',
    '124',
  ],
  ['debian_9', 'debian_10', 'debian_11'],
  ['A', 'a'],
  ['1.2', '1.10'],
]

test.each(ascending)('%s, %s, …: each is older than what follows', (...versions) => {
  for (const [i, a] of versions.entries()) {
    for (const [j, b] of versions.entries()) {
      expect(Math.sign(compareVersions(a, b)), `${a} beside ${b}`).toBe(Math.sign(i - j))
    }
  }
})

test.each([
  ['123', '0123'],
  ['a_1', 'a/1'],
  ['ä1', '1'],
])('%s and %s are the same', (a, b) => {
  expect(compareVersions(a, b)).toBe(0)
})
