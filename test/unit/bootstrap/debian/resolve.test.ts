import { describe, expect, test } from 'vitest'
import type { PackageIndex } from '../../../../src/bootstrap/debian/package-index.ts'
import { resolvePackages, type ResolveOptions } from '../../../../src/bootstrap/debian/resolve.ts'
import { indexOf, type Described } from './packages.ts'

function resolve(
  index: PackageIndex,
  wishes: readonly string[],
  options: ResolveOptions = {},
): string[] {
  const wanted = wishes.map((name) => ({ package: index.candidate(name)!, by: '--include' }))
  return resolvePackages(index, wanted, options)
    .map(({ name }) => name)
    .toSorted()
}

const from = (packages: Readonly<Record<string, Described>>, wishes = ['a']) =>
  resolve(indexOf({ packages }), wishes)

describe('a set of packages has', () => {
  test('all that they depend on and pre-depend on, once, also in a circle', () => {
    const packages = {
      a: { Depends: 'b', 'Pre-Depends': 'c' },
      b: { Depends: 'a, c' },
      c: {},
      d: {},
    }
    expect(from(packages)).toEqual(['a', 'b', 'c'])
  })

  test('the first alternative that there is', () => {
    expect(from({ a: { Depends: 'none | c | b' }, b: {}, c: {} })).toEqual(['a', 'c'])
    expect(from({ a: { Depends: 'b (>= 2) | c' }, b: {}, c: {} })).toEqual(['a', 'c'])
  })

  test('no alternative where one is there anyway', () => {
    expect(from({ a: { Depends: 'b | c, d' }, b: {}, c: {}, d: { Depends: 'c' } })).toEqual([
      'a',
      'c',
      'd',
    ])
    const index = indexOf({ packages: { a: { Depends: 'b | c' }, b: {}, c: {} } })
    expect(resolve(index, ['a'], { present: [index.candidate('c')!] })).toEqual(['a'])
  })

  test('another alternative where the first one leads nowhere', () => {
    const packages = {
      a: { Depends: 'b | c, d' },
      b: { Depends: 'e | f' },
      c: {},
      d: {},
      e: { Conflicts: 'd' },
      f: { Breaks: 'd (<= 1.0)' },
    }
    expect(from(packages)).toEqual(['a', 'c', 'd'])
  })

  test('the package of a name before those that provide it, and the weightiest of those', () => {
    const providers = {
      p: { Provides: 'v', Priority: 'optional' },
      q: { Provides: 'v', Priority: 'required' },
    }
    expect(from({ a: { Depends: 'v' }, ...providers })).toEqual(['a', 'q'])
    expect(from({ a: { Depends: 'v' }, ...providers, v: {} })).toEqual(['a', 'v'])
  })

  test('only a provided version for a relation that asks for one', () => {
    const packages = {
      a: { Depends: 'v (>= 2)' },
      p: { Provides: 'v' },
      q: { Provides: 'v (= 1)' },
      r: { Provides: 'x, v (= 2.1)' },
    }
    expect(from(packages)).toEqual(['a', 'r'])
  })

  test('for :any only what may be of any architecture, and nothing of a foreign one', () => {
    const packages = { b: { 'Multi-Arch': 'foreign' }, c: { 'Multi-Arch': 'allowed' } }
    expect(from({ a: { Depends: 'b:any | c:any' }, ...packages })).toEqual(['a', 'c'])
    expect(from({ a: { Depends: 'b:arm64 | b:amd64' }, ...packages })).toEqual(['a', 'b'])
  })

  test('a package that conflicts with what it provides itself', () => {
    const packages = { a: { Provides: 'mta', Conflicts: 'mta' } }
    expect(from(packages)).toEqual(['a'])
    expect(() => from({ ...packages, b: { Provides: 'mta' } }, ['a', 'b'])).toThrow(
      /cannot install b \(--include\): a 1\.0 is there \(--include\), which conflicts with mta/,
    )
  })

  test('packages whose foreign namesakes conflict', () => {
    const conflicting = (qualifier: string) => ({
      a: { Depends: 'b, c' },
      b: { Conflicts: `c:${qualifier}` },
      c: { Breaks: `b:${qualifier}` },
    })
    expect(from(conflicting('i386'))).toEqual(['a', 'b', 'c'])
    for (const own of ['any', 'amd64']) expect(() => from(conflicting(own))).toThrow(/is there/)
  })
})

describe('it is said why there is no way', () => {
  const why = (packages: Readonly<Record<string, Described>>, options?: ResolveOptions) => () =>
    resolve(indexOf({ packages }), ['a'], options)

  test('when something is not in the archive, with those who need it', () => {
    expect(why({ a: { Depends: 'b' }, b: { Depends: 'none | gone (>= 2)' } })).toThrow(
      'b (for a, for --include) depends on none | gone (>= 2), but none is not in the archive; gone is not in the archive',
    )
  })

  test('when the version is too old', () => {
    expect(why({ a: { 'Pre-Depends': 'b (>= 2)' }, b: {} })).toThrow(
      'a (for --include) pre-depends on b (>= 2), but b is there as 1.0',
    )
  })

  test('when packages conflict, both ways round', () => {
    const expected = /depends on c, but .*b 1\.0 is there \(a\)/
    expect(why({ a: { Depends: 'b, c' }, b: { Breaks: 'c (<< 2)' }, c: {} })).toThrow(expected)
    expect(why({ a: { Depends: 'b, c' }, b: {}, c: { Conflicts: 'b' } })).toThrow(expected)
  })

  test('when it is to be left out', () => {
    expect(why({ a: { Depends: 'b' }, b: {} }, { excluded: new Set(['b']) })).toThrow(
      'a (for --include) depends on b, but b is to be left out',
    )
  })
})

describe('the version is', () => {
  test('the newest of all suites', () => {
    const index = indexOf(
      { packages: { 'a=1': {}, 'b=3': {} } },
      { packages: { 'a=2': {}, 'b=2': {} } },
    )
    expect([index.candidate('a')?.version, index.candidate('b')?.version]).toEqual(['2', '3'])
  })

  test('not of a suite that must be asked for', () => {
    const index = indexOf(
      { packages: { 'a=1': {} } },
      { release: { NotAutomatic: 'yes' }, packages: { 'a=2': {}, 'b=2': {} } },
    )
    expect([index.candidate('a')?.version, index.candidate('b')?.version]).toEqual(['1', '2'])
  })

  test('not of another architecture', () => {
    const index = indexOf({ packages: { 'a=2': { Architecture: 'arm64' }, 'b=1': {} } })
    expect(index.candidate('a')).toBeUndefined()
  })
})
