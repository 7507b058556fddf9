import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import {
  cachedRpmIndexes,
  currentRpmIndexes,
  parseIni,
  readRpmRepositories,
} from '../../../../src/build/installers/rpm-repositories.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { serve } from '../../../fixtures/web-server.ts'

const places = { directories: ['etc/repos'], files: [], variables: ['etc/vars'] }
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const [hash, old] = ['a'.repeat(64), 'b'.repeat(64)]
const metalink = `<metalink><file name="repomd.xml"><mm0:alternates><hash type="sha256">${old}</hash></mm0:alternates><verification><hash type="md5">1</hash><hash type="sha256">${hash}</hash></verification></file></metalink>`

async function write(root: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), text)
  }
}

const indexes = (root: string, signal?: AbortSignal) => currentRpmIndexes(root, places, signal)

test('values go on in lines with a blank before them, and comments are none', () => {
  const sections = parseIni('# a\n[x]\nbaseurl = one\n  two\n; b\nname=c=d\n[y]\nenabled=0\n')
  expect(Object.fromEntries(sections.get('x')!)).toEqual({ baseurl: 'one\ntwo', name: 'c=d' })
  expect(sections.get('y')?.get('enabled')).toBe('0')
})

test('enabled repositories are read, with the variables of the tree', async () => {
  await using work = await temporaryDirectory()
  await write(work.path, {
    'usr/lib/os-release': 'ID=rocky\nVERSION_ID="9.4"\n',
    'etc/vars/flavour': 'mild\n',
    'etc/repos/a.repo': '[a]\nbaseurl=http://x/$releasever/${flavour}/$other, http://y/\n',
    'etc/repos/b.repo':
      '[b]\nmetalink=http://x/b\nenabled=1\n[c]\nbaseurl=http://x\nenabled=False\n',
    'etc/repos/ignored': '[d]\nbaseurl=http://x\n',
  })
  expect(await readRpmRepositories(work.path, places)).toEqual([
    {
      id: 'a',
      baseUrls: ['http://x/9/mild/$other', 'http://y/'],
      mirrorList: undefined,
      metalink: undefined,
    },
    { id: 'b', baseUrls: [], mirrorList: undefined, metalink: 'http://x/b' },
  ])
})

test('what repositories have now is known by server, list of mirrors, metalink and file of the tree', async () => {
  await using work = await temporaryDirectory()
  await using server = await serve({ '/web/repodata/repomd.xml': 'web', '/metalink': metalink })
  const { origin } = server
  await using lists = await serve({ '/list': `# mirrors\n${origin}/web/\n` })
  await write(work.path, {
    'etc/repos/a.repo': `[web]\nbaseurl=${origin}/web/\n[list]\nmirrorlist=${lists.origin}/list\n`,
    'etc/repos/b.repo': `[link]\nmetalink=${origin}/metalink\n[file]\nbaseurl=file:///srv/repo\n`,
    'srv/repo/repodata/repomd.xml': 'file',
  })
  expect(await indexes(work.path)).toEqual(
    [sha256('web'), sha256('web'), sha256('file'), hash].toSorted(),
  )
})

test.each([
  ['no repository', ''],
  ['one out of reach', '[a]\nbaseurl=http://127.0.0.1:1/\n'],
  ['one with a variable that nobody knows', '[a]\nbaseurl=http://127.0.0.1:1/$what\n'],
  ['one on a disk', '[a]\nbaseurl=cd:///?devices=/dev/sr0\n'],
  ['one below a directory that the tree lacks', '[a]\nbaseurl=file:///etc/../../../../etc\n'],
])('nobody can tell with %s', async (_what, text) => {
  await using work = await temporaryDirectory()
  await write(work.path, { 'etc/repos/a.repo': text })
  expect(await indexes(work.path)).toBeUndefined()
})

test('being given up is no answer', async () => {
  await using work = await temporaryDirectory()
  await using server = await serve({})
  await write(work.path, { 'etc/repos/a.repo': `[a]\nbaseurl=${server.origin}\n` })
  await expect(indexes(work.path, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELED' })
})

test('a layer has the indexes that were read into it', async () => {
  await using work = await temporaryDirectory()
  expect(await cachedRpmIndexes(work.path, 'cache')).toBeUndefined()
  await write(work.path, {
    'cache/a-1/repodata/repomd.xml': 'a',
    'cache/b-2/repodata/repomd.xml': 'b',
    'cache/c-3/repodata/repomd.xml': 'of a mirror that lags behind',
    'cache/c-3/metalink.xml': metalink,
    'cache/log': '',
  })
  expect(await cachedRpmIndexes(work.path, 'cache')).toEqual(
    [sha256('a'), sha256('b'), hash].toSorted(),
  )
})
