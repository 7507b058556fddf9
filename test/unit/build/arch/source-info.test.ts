import { describe, expect, test } from 'vitest'
import {
  buildDependencies,
  isSignature,
  parseSourceInfo,
} from '../../../../src/build/arch/source-info.ts'

const lines = `pkgbase = pair
	pkgdesc = Two of a kind = none
	pkgver = 1.5
	pkgrel = 2
	epoch = 1
	arch = x86_64
	arch = aarch64
	checkdepends = prover>=2
	makedepends = maker
	makedepends = shared
	depends = shared
	depends_x86_64 = quick
	depends_aarch64 = slow
	source = local.patch
	source = https://example.org/v1/data.tar.gz?x=1
	source = data.sig::https://example.org/data.sig
	source = git+https://example.org/repo.git#tag=v1
	source_x86_64 = https://example.org/blob
	sha256sums = ${'a'.repeat(64)}
	sha256sums = ${'b'.repeat(64)}
	sha256sums = SKIP
	sha256sums = SKIP
	b2sums = SKIP
	b2sums = ${'C'.repeat(128)}
	b2sums = SKIP
	b2sums = SKIP
	md5sums_x86_64 = ${'d'.repeat(32)}

pkgname = pair-one
	depends = pair-two

pkgname = pair-two`.split('\n')

const change = (pattern: RegExp, text: string) => lines.map((line) => line.replace(pattern, text))

test('names, version and packages are those of all, not of one package', () => {
  expect(parseSourceInfo(lines, 'x86_64')).toMatchObject({
    name: 'pair',
    version: '1:1.5-2',
    packages: ['pair-one', 'pair-two'],
    architectures: ['x86_64', 'aarch64'],
  })
})

test('what a build needs is that of all packages and of the architecture, with the tests or without', () => {
  const info = parseSourceInfo(lines, 'x86_64')
  expect(buildDependencies(info, { check: true })).toEqual([
    'maker',
    'prover>=2',
    'quick',
    'shared',
  ])
  expect(buildDependencies(info, { check: false })).toEqual(['maker', 'quick', 'shared'])
  expect(buildDependencies(parseSourceInfo(lines, 'aarch64'), { check: false })).toContain('slow')
})

test('sources have the names that makepkg gives them, and the strongest digest that nobody can forge', () => {
  const { sources } = parseSourceInfo(lines, 'x86_64')
  expect(sources.map(({ name, kind, digest }) => [name, kind, digest?.algorithm])).toEqual([
    ['local.patch', 'local', 'sha256'],
    ['data.tar.gz?x=1', 'file', 'blake2b512'],
    ['data.sig', 'file', undefined],
    ['repo.git#tag=v1', 'repository', undefined],
    ['blob', 'file', undefined],
  ])
  expect(sources[1]?.digest?.value).toBe('c'.repeat(128))
  expect(sources.filter(isSignature).map(({ name }) => name)).toEqual(['data.sig'])
  expect(parseSourceInfo(lines, 'aarch64').sources).toHaveLength(4)
})

describe('a PKGBUILD is refused', () => {
  test.each([
    ['for another architecture', lines, 'riscv64', 'the tree is for riscv64'],
    ['with a name that leads elsewhere', change(/pair-one/, '../x'), 'x86_64', 'package name'],
    ['with an option for a name', change(/pkgbase = pair/, 'pkgbase = -x'), 'x86_64', 'name'],
    ['without a version', change(/\tpkgver.*/, ''), 'x86_64', 'not a version'],
    ['with a path for a version', change(/1\.5/, '1/5'), 'x86_64', 'not a version'],
    ['without packages', change(/^pkgname.*/, ''), 'x86_64', 'no packages'],
    ['that says nothing', [], 'x86_64', 'package name'],
  ])('%s', (_what, text, architecture, why) => {
    expect(() => parseSourceInfo(text, architecture)).toThrow(why)
    expect(() => parseSourceInfo(text, architecture)).toThrow(
      expect.objectContaining({ code: 'SOURCE_INVALID' }),
    )
  })
})
