import { statSync } from 'node:fs'
import { link, mkdir, readdir, readFile, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { linkFromPool, returnToPool } from '../../../src/bootstrap/package-cache.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

async function rooms(root: string): Promise<{ pool: string; stage: string }> {
  const [pool, stage] = [join(root, 'pool'), join(root, 'stage')]
  await mkdir(pool)
  await mkdir(stage)
  return { pool, stage }
}

const isPackage = (name: string) => name.endsWith('.deb')

test('what a run had to fetch again takes the place of what was damaged, at whatever size', async () => {
  await using directory = await temporaryDirectory()
  const { pool, stage } = await rooms(directory.path)
  for (const [name, kept] of Object.entries({
    a_1_all: 'spoilt',
    b_1_all: 'short',
    c_1_all: 'whole!',
  })) {
    await writeFile(join(pool, `${name}.deb`), kept)
    await writeFile(join(stage, `${name}.deb`), 'whole!')
  }
  await returnToPool(pool, stage, isPackage)
  for (const name of ['a_1_all.deb', 'b_1_all.deb', 'c_1_all.deb'])
    expect(await readFile(join(pool, name), 'utf8')).toBe('whole!')
  expect((await readdir(pool)).toSorted()).toEqual(['a_1_all.deb', 'b_1_all.deb', 'c_1_all.deb'])
})

test('nothing but files comes into the pool', async () => {
  await using directory = await temporaryDirectory()
  const { pool, stage } = await rooms(directory.path)
  await symlink('/etc/passwd', join(stage, 'a_1_all.deb'))
  await returnToPool(pool, stage, isPackage)
  expect(await readdir(pool)).toEqual([])
})

test('runs at the same time that return and drop the same packages do not mind each other', async () => {
  await using directory = await temporaryDirectory()
  const { pool, stage } = await rooms(directory.path)
  const old = new Date('2020-01-01')
  for (let number = 0; number < 30; number++) {
    await writeFile(join(pool, `old${number}_1_all.deb`), 'x')
    await utimes(join(pool, `old${number}_1_all.deb`), old, old)
    await writeFile(join(stage, `new${number}_1_all.deb`), 'x')
  }
  const second = join(directory.path, 'second')
  await mkdir(second)
  for (const name of await readdir(stage)) await link(join(stage, name), join(second, name))
  const third = join(directory.path, 'third')
  await mkdir(third)
  await Promise.all([
    returnToPool(pool, stage, isPackage),
    returnToPool(pool, second, isPackage),
    linkFromPool(pool, third, isPackage),
  ])
  expect((await readdir(pool)).toSorted()).toEqual((await readdir(stage)).toSorted())
})

test('packages in directories of their own come back into the same ones', async () => {
  await using directory = await temporaryDirectory()
  const { pool, stage } = await rooms(directory.path)
  await mkdir(join(stage, 'main-12ab/packages'), { recursive: true })
  await writeFile(join(stage, 'main-12ab/packages/a.rpm'), 'package')
  await writeFile(join(stage, 'main-12ab/main.solv'), 'index')
  const kept = (path: string) => /\.(rpm|solv)$/.test(path)
  await returnToPool(pool, stage, kept)

  const next = join(directory.path, 'next')
  await mkdir(next)
  expect(await linkFromPool(pool, next, kept)).toBe(2)
  // Tools write over their indexes in place, so a run must have its own.
  await writeFile(join(next, 'main-12ab/main.solv'), 'other')
  expect(await readFile(join(pool, 'main-12ab/main.solv'), 'utf8')).toBe('index')
  const [mine, theirs] = [next, pool].map((root) =>
    statSync(join(root, 'main-12ab/packages/a.rpm')),
  )
  expect(mine!.ino).toBe(theirs!.ino)
})
