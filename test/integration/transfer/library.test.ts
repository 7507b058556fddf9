/** Images in and out through the library's door, with as little said as its users may say. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  cancelTransfer,
  exportRaw,
  exportTar,
  importFs,
  importRaw,
  importTar,
  listTransfers,
  pullOci,
  pullRaw,
  pullTar,
} from '../../../src/index.ts'
import { noise } from '../../fixtures/noise.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { treeListing } from '../images/tree-listing.ts'
import { imageServer, makeTree, packTree } from './image-server.ts'

afterEach(() => vi.unstubAllEnvs())

/** A place of its own for all that the library writes. */
async function place() {
  const directory = await temporaryDirectory()
  const machines = join(directory.path, 'machines')
  mkdirSync(machines)
  vi.stubEnv('TSNSPAWN_MACHINES_DIR', machines)
  vi.stubEnv('TSNSPAWN_STATE_DIR', join(directory.path, 'state'))
  vi.stubEnv('TSNSPAWN_RUNTIME_DIR', join(directory.path, 'run'))
  return {
    path: directory.path,
    machines,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

describe.skipIf(lacks('root', 'program:xz'))('a program', () => {
  test('pulls, exports and imports trees, where the environment says', async () => {
    await using here = await place()
    const tree = makeTree(here.path)
    await using server = await imageServer('deb.tar.xz', packTree(tree, '-J'))
    const pulled = await pullTar({ url: server.url, verify: { mode: 'checksum' } })
    expect(pulled).toMatchObject({ name: 'deb', path: join(here.machines, 'deb') })
    const file = join(here.path, 'deb.tar.gz')
    await exportTar({ name: 'deb', target: file, machinesOverride: here.machines })
    await importTar({ source: file, name: 'again' })
    await importFs({ source: tree, name: 'copy' })
    for (const name of ['deb', 'again', 'copy'])
      expect(treeListing(join(here.machines, name))).toBe(treeListing(tree))
    await expect(importTar({ source: file, name: 'again' })).rejects.toMatchObject({
      code: 'IMAGE_EXISTS',
    })
  })

  test('pulls, exports and imports disks', async () => {
    await using here = await place()
    await using server = await imageServer('disk.raw', noise(1 << 20))
    await pullRaw({ url: server.url, verify: { mode: 'checksum' } })
    const file = join(here.path, 'disk.raw.zst')
    await exportRaw({ name: 'disk', target: file, machinesOverride: here.machines })
    expect(await importRaw({ source: file, name: 'again' })).toMatchObject({ bytes: 1 << 20 })
    expect(readdirSync(here.machines).toSorted()).toEqual(['again.raw', 'disk.raw'])
  })

  test('takes nothing unsigned unless it says so, and asks registries too', async () => {
    await using here = await place()
    await using server = await imageServer('deb.tar.xz', packTree(makeTree(here.path), '-J'))
    await expect(pullTar({ url: server.url })).rejects.toMatchObject({
      code: expect.stringMatching(/^(KEYRING|SIGNATURE)_NOT_FOUND$/),
    })
    const reference = `${server.web.origin.replace('http://', '')}/none`
    await expect(pullOci({ reference })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(readdirSync(here.machines)).toEqual([])
  })

  test('sees and ends transfers', async () => {
    await using here = await place()
    await using server = await imageServer('deb.tar.xz', packTree(makeTree(here.path), '-J'))
    const pulling = pullTar({
      url: server.url,
      verify: { mode: 'no' },
      bytesPerSecond: 1024,
    }).catch((error: unknown) => error)
    const [transfer] = listTransfers()
    expect(transfer).toMatchObject({ type: 'pull-tar', local: 'deb', remote: server.url })
    await cancelTransfer(transfer!.id, () => {})
    expect(await pulling).toMatchObject({ code: 'TRANSFER_CANCELED' })
    expect(listTransfers()).toEqual([])
    expect(readdirSync(here.machines)).toEqual([])
  })
})
