import { expect, test } from 'vitest'
import { parseProducts } from '../../../../src/build/rpm/products.ts'
import { specMark } from '../../../../src/build/rpm/spec-facts.ts'

test('a spec makes its packages, what they provide, and what rpm finds out from their files', () => {
  const lines = [
    'makes libx',
    'makes x',
    'warning: something',
    'makes libx',
    specMark,
    'Name: libx',
    '%install',
    '/usr/bin/not-a-file',
    '%files',
    '%license /usr/share/licenses/libx',
    '%exclude /usr/bin/left-out',
    '/usr/bin/x',
    '%files devel',
    '/usr/lib64/pkgconfig/x.pc',
    '/usr/lib64/pkgconfig/*.pc',
    '%dir /usr/lib64/cmake/X',
    '%changelog',
    '/usr/bin/old',
  ]
  expect(parseProducts(lines)).toEqual([
    '/usr/bin/x',
    '/usr/lib64/cmake/X',
    '/usr/lib64/pkgconfig/*.pc',
    '/usr/lib64/pkgconfig/x.pc',
    '/usr/share/licenses/libx',
    'cmake(X)',
    'libx',
    'pkgconfig(x)',
    'x',
  ])
})
