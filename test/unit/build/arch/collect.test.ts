import { describe, expect, test } from 'vitest'
import { checkPackages, choosePackages, parseFileName } from '../../../../src/build/arch/collect.ts'

const info = { name: 'pair', packages: ['pair', 'pair-docs'] }

test.each([
  ['x-1-1-any.pkg.tar.zst', ['x', '1-1', 'any']],
  ['a-b-2:1.0.r3+g1-0.1-x86_64.pkg.tar', ['a-b', '2:1.0.r3+g1-0.1', 'x86_64']],
  ['x-1-1-any.pkg.tar.zst.sig', undefined],
  ['x-1-1.src.tar.gz', undefined],
  ['x-1-1-a/y.pkg.tar.zst', undefined],
  ['-x-1-1-any.pkg.tar.zst', undefined],
  ['x\n-1-1-any.pkg.tar.zst', undefined],
])('%j is read as a package file, or not', (file, expected) => {
  const read = parseFileName(file)
  expect(read && [read.name, read.version, read.architecture]).toEqual(expected)
})

describe('of what lies there', () => {
  const wanted = ['pair-1-1-any.pkg.tar.zst', 'pair-docs-1-1-any.pkg.tar.zst']

  test('what was promised is taken, with what debuggers want, and nothing else', () => {
    const names = [...wanted, 'pair-debug-1-1-x86_64.pkg.tar.zst', 'more-1-1-any.pkg.tar.zst', 'x']
    expect(choosePackages(names, info).map(({ file }) => file)).toEqual([names[2], ...wanted])
  })

  test.each([
    ['one too few', wanted.slice(1), 'no package file'],
    ['two of one', [...wanted, 'pair-2-1-any.pkg.tar.zst'], 'more than one'],
  ])('%s is refused', (_what, names, why) => {
    expect(() => choosePackages(names, info)).toThrow(why)
    expect(() => choosePackages(names, info)).toThrow(
      expect.objectContaining({ code: 'BUILD_RESULTS' }),
    )
  })
})

describe('what packages say of themselves', () => {
  const files = choosePackages(['pair-1-1-any.pkg.tar.zst', 'pair-docs-1-1-any.pkg.tar.zst'], info)
  const said = (name: string, fields: Record<string, string> = {}) => [
    `file = ${name}-1-1-any.pkg.tar.zst`,
    '# Generated',
    ...Object.entries({ pkgname: name, pkgver: '1-1', arch: 'any', ...fields }).map(
      ([key, value]) => `${key} = ${value}`,
    ),
  ]

  test('is what their names say', () => {
    expect(() => checkPackages([...said('pair'), ...said('pair-docs')], files)).not.toThrow()
  })

  test.each([
    ['another version', [...said('pair', { pkgver: '2-1' }), ...said('pair-docs')], 'pkgver'],
    ['another name', [...said('pair', { pkgname: 'glibc' }), ...said('pair-docs')], 'pkgname'],
    ['nothing', said('pair'), 'pkgname'],
    ['the say of the next one', [...said('pair'), ...said('pair-docs'), ...said('x')], 'more'],
  ])('is refused when it is %s', (_what, lines, why) => {
    expect(() => checkPackages(lines, files)).toThrow(why)
  })
})
