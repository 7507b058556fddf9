import { expect, test } from 'vitest'
import { checkIdRange, hashedIdBase, remoteDatabases } from '../../../src/images/id-range.ts'

test.each([
  ['mmu', 1073938432],
  ['foobar', 276955136],
  ['debian', 1766326272],
  ['a', 90374144],
  ['build-1', 416022528],
  ['sid-amd64-sbuild', 1000210432],
])('machine %s gets the base that systemd-nspawn gives it', (machine, base) => {
  expect(hashedIdBase(machine)).toBe(base)
})

test.each([
  [0, 65536],
  [524288, 65536],
  [1000, 1],
  [4294901759, 65536],
])('%i with %i ids is a range', (base, length) => {
  expect(checkIdRange(base, length)).toEqual({ base, length })
})

test.each([
  [0, 0],
  [4294967295, 1],
  [4294901760, 65536],
  [0, 4294967296],
  [-1, 10],
])('%i with %i ids is refused', (base, length) => {
  expect(() => checkIdRange(base, length)).toThrow(expect.objectContaining({ code: 'USAGE' }))
})

test('only databases with other sources than local files need getent', () => {
  expect([
    ...remoteDatabases('passwd: files systemd\ngroup: compat [!UNAVAIL=return] files # sss\n'),
  ]).toEqual([])
  expect([...remoteDatabases('passwd:\tfiles sss\ngroup: files\nhosts: files dns')]).toEqual([
    'passwd',
  ])
  expect([...remoteDatabases('')]).toEqual([])
})
