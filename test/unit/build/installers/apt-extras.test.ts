import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { apt, aptWith } from '../../../../src/build/installers/apt.ts'
import { readAptExtras, type ExtraWishes } from '../../../../src/build/installers/apt-extras.ts'
import { makeSigner, type Signer } from '../../../fixtures/signing.ts'
import { serve } from '../../../fixtures/web-server.ts'

let directory: string
let signer: Signer
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'extras-'))
  signer = await makeSigner(directory, 'extra')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const line = 'deb http://example.org/debian stable main'
const read = (wishes: Partial<ExtraWishes>) =>
  readAptExtras({ repositories: [], keys: [], pins: [], ...wishes })
const textOf = (wishes: Partial<ExtraWishes>, path: string) =>
  String(read(wishes).files.find((file) => file.path.startsWith(path))?.text)
const put = (name: string, text: string) => {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}

test('a line becomes a file of its own, and its suite counts', () => {
  const { files, suites } = read({ repositories: [line] })
  expect(files).toEqual([
    {
      path: 'etc/apt/sources.list.d/tsnspawn-build-extra-0.list',
      text: `${line}\n`,
      mode: 0o644,
    },
  ])
  expect(suites).toEqual([{ uri: 'http://example.org/debian', suite: 'stable' }])
})

describe('keys', () => {
  test('vouch for the extra repositories alone', () => {
    const wishes = { repositories: [line], keys: [signer.armouredKeyring, signer.keyring] }
    const paths = ['etc/apt/keyrings/tsnspawn-build-extra-0.asc']
    paths.push('etc/apt/keyrings/tsnspawn-build-extra-1.gpg')
    expect(read(wishes).files.map(({ path }) => path)).toEqual([
      ...paths,
      'etc/apt/sources.list.d/tsnspawn-build-extra-0.list',
    ])
    expect(textOf(wishes, 'etc/apt/sources')).toBe(
      `deb [signed-by=/${paths[0]},/${paths[1]}] http://example.org/debian stable main\n`,
    )
  })

  test.each([
    [
      'deb [arch=amd64] http://e.org/d s main',
      'deb [arch=amd64 signed-by=/K] http://e.org/d s main',
    ],
    ['deb [signed-by=/x] http://e.org/d s main', 'deb [signed-by=/x] http://e.org/d s main'],
    ['deb [trusted=yes] http://e.org/d s main', 'deb [trusted=yes] http://e.org/d s main'],
  ])('of %s leave what it says itself', (given, written) => {
    const wishes = { repositories: [given], keys: [signer.armouredKeyring] }
    const text = textOf(wishes, 'etc/apt/sources')
    expect(text.replace('etc/apt/keyrings/tsnspawn-build-extra-0.asc', 'K')).toBe(`${written}\n`)
  })

  test('vouch for the stanzas of a file that name none', () => {
    const stanza = 'Types: deb\nURIs: http://e.org/d\nSuites: a b\nComponents: main\n'
    const path = put('two.sources', `# first\n${stanza}\n\n\n${stanza}Signed-By: /x.gpg\n`)
    const wishes = { repositories: [path], keys: [signer.armouredKeyring] }
    expect(textOf(wishes, 'etc/apt/sources')).toBe(
      `${stanza}Signed-By: /etc/apt/keyrings/tsnspawn-build-extra-0.asc\n\n${stanza}Signed-By: /x.gpg\n`,
    )
    expect(read(wishes).suites.map(({ suite }) => suite)).toEqual(['a', 'b', 'a', 'b'])
  })

  test('that are none are refused', () => {
    const keys = [put('key', 'no key')]
    expect(() => read({ repositories: [line], keys })).toThrow('is no file of public keys')
    expect(() => read({ keys: [signer.keyring] })).toThrow('no extra repository')
  })
})

test('a pin is a record of preferences, and one above 1000 lets apt go back', () => {
  const pins = ['libfoo* libbar release a=stable-backports, o=Debian 990']
  expect(read({ pins }).files).toEqual([
    {
      path: 'etc/apt/preferences.d/tsnspawn-build-extra',
      text: 'Package: libfoo* libbar\nPin: release a=stable-backports, o=Debian\nPin-Priority: 990\n',
      mode: 0o644,
    },
  ])
  const strong = read({ pins: [...pins, 'make version 4.2* 1001'] }).files
  expect(strong.map(({ path }) => path)).toContain('etc/apt/apt.conf.d/tsnspawn-build-extra')
  expect(String(strong[0]?.text)).toContain('\n\nPackage: make\nPin: version 4.2*\n')
})

test.each([
  ['make', 'not a pin'],
  ['make 4.2* 1001', 'not a pin'],
  ['release a=stable 990', 'not a pin'],
  ['make version 4.2*', 'not a pin'],
  ['make version 990', 'not a pin'],
  ['make version 4.2* 0', 'not a pin'],
  ['make; version 4.2* 990', 'not a pin'],
])('the pin %s is refused', (pin, message) => {
  expect(() => read({ pins: [pin] })).toThrow(message)
})

test.each([
  ['http://example.org/debian stable main', 'not a package source'],
  [`${line}\ndeb-src http://example.org/debian stable main`, 'more than one line'],
  ['deb-src http://example.org/debian stable main', 'only sources'],
  ['deb http://example.org/debian stable', 'names no component'],
  ['deb file:/srv/debian stable main', 'cannot be reached'],
  ['deb http://me:secret@example.org/debian stable main', 'has a password'],
  ['/nowhere/there.list', 'cannot read the file'],
])('the repository %s is refused', (repository, message) => {
  expect(() => read({ repositories: [repository] })).toThrow(
    expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
  )
})

test('the Release file of an extra repository counts among the indexes', async () => {
  await using server = await serve({ '/debian/dists/stable/InRelease': 'one' })
  const source = `deb ${server.origin}/debian stable main`
  const twice = readAptExtras({
    repositories: [source, source.replace('/debian ', '/debian/ ')],
    keys: [],
    pins: [],
  })
  const indexes = await aptWith(twice).currentIndexes(directory, undefined)
  expect(indexes).toEqual(['7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed'])
  expect(await apt.currentIndexes(directory, undefined)).toBeUndefined()
})
