import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { chooseFiles, trimCaches } from '../../../src/build/trim-caches.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const hour = 3600 * 1000
const now = 1000 * hour
const files = [
  { path: 'new', bytes: 50, usedMs: now - 2 * hour },
  { path: 'just-now', bytes: 50, usedMs: now - 1 },
  { path: 'old', bytes: 50, usedMs: now - 100 * hour },
]

test.each([
  ['nothing, when all fits', { totalBytes: 1000, ageMs: Infinity }, []],
  ['what is too old', { totalBytes: 1000, ageMs: 50 * hour }, ['old']],
  ['the oldest of what is too much', { totalBytes: 100, ageMs: Infinity }, ['old']],
  ['never what was used just now', { totalBytes: 0, ageMs: 0 }, ['old', 'new']],
])('of cached files goes %s', (_what, budget, paths) => {
  expect(chooseFiles(files, budget, now).map(({ path }) => path)).toEqual(paths)
})

test('packages, sources and answers go from the cache, and nothing that belongs to others', async () => {
  await using work = await temporaryDirectory()
  const mine = ['pacman/x/a-1-1-any.pkg.tar.zst', 'source-files/sha256-1', 'pkgbuilds/1-answer']
  const others = ['oci/sha256-2', 'indexes/3', 'keyrings/arch/pubring.gpg']
  for (const name of [...mine, ...others]) {
    const path = join(work.path, 'cache', name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, 'x')
    await utimes(path, 1000, 1000)
  }
  const left = async () =>
    (await readdir(join(work.path, 'cache'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .toSorted()
  const budget = { totalBytes: 0, ageMs: 0 }
  expect(await trimCaches(work.path, budget, 'tell')).toHaveLength(mine.length)
  expect(await left()).toHaveLength(mine.length + others.length)
  await trimCaches(work.path, budget)
  expect(await left()).toEqual(['3', 'pubring.gpg', 'sha256-2'])
  expect(await trimCaches(join(work.path, 'none'), budget)).toEqual([])
})
