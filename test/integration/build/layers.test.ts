import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { LayerStore, layerKey, type LayerDraft } from '../../../src/build/layers.ts'
import { CleanupStack } from '../../../src/cleanup.ts'
import { lockImage } from '../../../src/images/lock.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

const database = ['var/lib/dpkg/status']
const [one, two, three] = [layerKey(1), layerKey(2), layerKey(3)]

describe.skipIf(lacks('root'))('kept layers', () => {
  async function fill({ upper }: LayerDraft, bytes = 1000): Promise<void> {
    await mkdir(join(upper, 'var/lib/dpkg'), { recursive: true })
    await writeFile(join(upper, 'var/lib/dpkg/status'), 'Package: x\n')
    await writeFile(join(upper, 'content'), Buffer.alloc(bytes, 1))
  }

  async function make(directory: string, keys: readonly string[], bytes?: number): Promise<void> {
    await using cleanup = new CleanupStack()
    const store = await LayerStore.open(directory, cleanup)
    for (const [index, key] of keys.entries()) {
      const draft = await store.draft()
      await fill(draft, bytes)
      await draft.publish(key, database)
      const used = new Date(Date.now() - (keys.length - index) * 60_000)
      await utimes(join(directory, key, 'layer.json'), used, used)
    }
  }

  const names = async (directory: string) =>
    (await readdir(directory)).filter((name) => !name.startsWith('.#'))

  test('are found under their key, and only once they were published', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    const store = await LayerStore.open(work.path, cleanup)
    const draft = await store.draft()
    await fill(draft)
    expect(await store.find(one)).toBeUndefined()
    expect(await draft.publish(one, database)).toBe(join(work.path, one, 'upper'))
    expect(await store.find(one)).toBe(join(work.path, one, 'upper'))
    expect(await store.find(two)).toBeUndefined()
  })

  test('leave nothing when they are not published', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    await fill(await (await LayerStore.open(work.path, cleanup)).draft())
    await cleanup.releaseAll()
    expect(await readdir(work.path)).toEqual([])
  })

  test('lose the locks of killed runs to the next one, which is in nobody’s way', async () => {
    await using work = await temporaryDirectory()
    await make(work.path, [one])
    await writeFile(join(work.path, `.#${one}.lck`), '')
    await writeFile(join(work.path, `.#${two}.lck`), '')
    await using cleanup = new CleanupStack()
    await LayerStore.open(work.path, cleanup)
    expect(await readdir(work.path)).toEqual([one])
  })

  test('are found by one who comes while another tries the lock', async () => {
    await using work = await temporaryDirectory()
    await make(work.path, [one])
    await using cleanup = new CleanupStack()
    const store = await LayerStore.open(work.path, cleanup)
    const trying = lockImage(join(work.path, one), 'exclusive')
    void setTimeout(15).then(() => trying.release())
    expect(await store.find(one)).toBe(join(work.path, one, 'upper'))
  })

  test('of a slower maker give way to those that are there', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    const store = await LayerStore.open(work.path, cleanup)
    const [fast, slow] = [await store.draft(), await store.draft()]
    await fill(fast)
    await fill(slow)
    const published = await fast.publish(one, database)
    const { ino } = await stat(published)
    const own = await slow.publish(one, database)
    expect(own).not.toBe(published)
    expect((await stat(join(own, 'content'))).isFile()).toBe(true)
    expect((await stat(published)).ino).toBe(ino)
    await cleanup.releaseAll()
    expect(await names(work.path)).toEqual([one])
  })

  test('that lost their package database are not used', async () => {
    await using work = await temporaryDirectory()
    await make(work.path, [one])
    await rm(join(work.path, one, 'upper/var/lib/dpkg/status'))
    await using cleanup = new CleanupStack()
    expect(await (await LayerStore.open(work.path, cleanup)).find(one)).toBeUndefined()
  })

  test('go when space is short, the least recently used first, and never one in use', async () => {
    await using work = await temporaryDirectory()
    await make(work.path, [one, two, three], 1_000_000)
    await using user = new CleanupStack()
    await using cleanup = new CleanupStack()
    const store = await LayerStore.open(work.path, cleanup)
    await (await LayerStore.open(work.path, user)).find(one)
    // Its use made it the newest; the others are older, and one of them has to go.
    const old = new Date(0)
    await utimes(join(work.path, one, 'layer.json'), old, old)
    expect(await store.trim({ totalBytes: 2_500_000, ageMs: Infinity })).toMatchObject([
      { key: two },
    ])
    expect((await names(work.path)).toSorted()).toEqual([one, three].toSorted())
    await user.releaseAll()
    expect(await store.trim({ totalBytes: Infinity, ageMs: 3_600_000 })).toMatchObject([
      { key: one },
    ])
    expect(await names(work.path)).toEqual([three])
  })

  test('are made once for all who want the same at the same time; the others wait for them', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    const stores = [1, 2, 3].map(() => LayerStore.open(work.path, cleanup))
    let made = 0
    const wanted = stores.map(async (store) =>
      (await store).provide(one, database, async ({ upper }) => {
        made++
        await setTimeout(100)
        await writeFile(join(upper, 'content'), 'x')
        return one
      }),
    )
    const layers = await Promise.all(wanted)
    expect(made).toBe(1)
    expect(layers.map(({ origin }) => origin).toSorted()).toEqual(['kept', 'kept', 'made'])
    expect(new Set(layers.map(({ upper }) => upper))).toEqual(
      new Set([join(work.path, one, 'upper')]),
    )
  })

  test('are made by the next in line when the first one fails', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    const first = (await LayerStore.open(work.path, cleanup)).provide(one, database, async () => {
      await setTimeout(100)
      throw new Error('no mirror')
    })
    const second = (await LayerStore.open(work.path, cleanup)).provide(
      one,
      database,
      async () => one,
    )
    await expect(first).rejects.toThrow('no mirror')
    expect(await second).toMatchObject({ origin: 'made', key: one })
  })

  test('are not waited for by a build that is given up', async () => {
    await using work = await temporaryDirectory()
    await using cleanup = new CleanupStack()
    const stop = new AbortController()
    const first = (await LayerStore.open(work.path, cleanup)).provide(one, database, async () => {
      const second = (await LayerStore.open(work.path, cleanup)).provide(
        one,
        database,
        async () => one,
        stop.signal,
      )
      stop.abort()
      await expect(second).rejects.toMatchObject({ code: 'CANCELED' })
      return one
    })
    expect(await first).toMatchObject({ origin: 'made' })
  })
})
