import { expect, test } from 'vitest'
import { isMachineName, machineNameFrom } from '../../src/machine-name.ts'

test.each(['a', 'A9', 'deb-12', 'x.y', 'a--b', 'a'.repeat(64)])('%s can name a machine', (name) => {
  expect(isMachineName(name)).toBe(true)
})

test.each(['', '-a', 'a-', 'a..b', '.a', 'a.', 'a_b', 'a b', 'ä', 'a.-b', 'a\n', 'a'.repeat(65)])(
  '"%s" cannot name a machine',
  (name) => {
    expect(isMachineName(name)).toBe(false)
  },
)

test.each([
  ['debian_12', 'debian12'],
  ['.#hidden', 'hidden'],
  ['my machine!', 'mymachine'],
  ['a..b', 'a.b'],
  ['-x-.-y-', 'x.y'],
  ['ä'.repeat(5) + 'b', 'b'],
  [`${'a'.repeat(63)}-b`, 'a'.repeat(63)],
  ['___', undefined],
  ['', undefined],
])('the name closest to "%s" is %s', (text, name) => {
  expect(machineNameFrom(text)).toBe(name)
  expect(isMachineName(machineNameFrom(text) ?? 'a')).toBe(true)
})
