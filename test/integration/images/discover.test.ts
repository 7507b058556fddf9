import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  findImage,
  imageSearchPath,
  listImages,
  requireImage,
} from '../../../src/images/discover.ts'
import { lockImage } from '../../../src/images/lock.ts'
import { spaceOf } from '../../../src/images/space.ts'
import { removeImage } from '../../../src/images/remove-image.ts'
import { measureUsage } from '../../../src/images/usage.ts'
import { silent } from '../../../src/log.ts'
import { createSubvolume, setSubvolumeReadOnly } from '../../../src/sys/btrfs.ts'
import { setImmutable } from '../../../src/sys/inode-flags.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from './loop-file-system.ts'

let directory: TemporaryDirectory
let pool: string
const at = (name: string): string => join(pool, name)

beforeEach(async () => {
  directory = await temporaryDirectory()
  pool = join(directory.path, 'pool')
  mkdirSync(pool)
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await directory[Symbol.asyncDispose]()
})

test('one machines directory that was asked for is searched alone', () => {
  vi.stubEnv('TSNSPAWN_MACHINES_DIR', undefined)
  expect(imageSearchPath()).toContain('/var/lib/machines')
  expect(imageSearchPath('/srv/m')).toEqual(['/srv/m'])
  vi.stubEnv('TSNSPAWN_MACHINES_DIR', '/srv/env')
  expect(imageSearchPath()).toEqual(['/srv/env'])
})

describe.skipIf(lacks('root'))('the images of a machines directory', () => {
  test('are directories and .raw files, through symlinks too; the rest is none', () => {
    mkdirSync(at('tree'))
    mkdirSync(at('.hidden'))
    mkdirSync(at('.#machine.x0123456789abcdef'))
    writeFileSync(at('disk.raw'), 'x')
    writeFileSync(at('file'), '')
    mkdirSync(join(directory.path, 'elsewhere'))
    symlinkSync('../elsewhere', at('link'))
    symlinkSync('nowhere', at('dangling'))
    expect(listImages({ override: pool }).map(({ name, type }) => [name, type])).toEqual([
      ['disk', 'raw'],
      ['link', 'directory'],
      ['tree', 'directory'],
    ])
    expect(listImages({ override: pool, hidden: true }).map(({ name }) => name)).toContain(
      '.hidden',
    )
    expect(listImages({ override: join(pool, 'none') })).toEqual([])
  })

  test('are found by name, the plain name before .raw', () => {
    writeFileSync(at('a.raw'), '')
    writeFileSync(at('a'), 'no image')
    expect(findImage('a', pool)).toMatchObject({ name: 'a', type: 'raw', path: at('a.raw') })
    mkdirSync(at('b'))
    writeFileSync(at('b.raw'), '')
    expect(findImage('b', pool)).toMatchObject({ type: 'directory' })
    expect(findImage('a.raw', pool)).toBeUndefined()
    expect(findImage('../pool/b', pool)).toBeUndefined()
    expect(() => requireImage('none', pool)).toThrow(
      expect.objectContaining({ code: 'IMAGE_NOT_FOUND' }),
    )
  })

  test('are read-only when immutable, without a write bit, or on a read-only file system', () => {
    mkdirSync(at('tree'))
    writeFileSync(at('disk.raw'), 'x')
    expect(listImages({ override: pool }).map(({ access }) => access)).toEqual([
      'read-write',
      'read-write',
    ])
    setImmutable(at('tree'), true)
    chmodSync(at('disk.raw'), 0o444)
    expect(listImages({ override: pool }).map(({ access }) => access)).toEqual([
      'read-only',
      'read-only',
    ])
    setImmutable(at('tree'), false)
    execFileSync('mount', ['--bind', '-o', 'ro', pool, pool])
    expect(findImage('tree', pool)?.access).toBe('read-only')
    execFileSync('umount', [pool])
  })

  test('tell when they were made and what they take', async () => {
    const before = Date.now() - 1000
    mkdirSync(at('tree'))
    writeFileSync(at('tree/file'), Buffer.alloc(1 << 20))
    execFileSync('ln', [at('tree/file'), at('tree/again')])
    writeFileSync(at('disk.raw'), Buffer.alloc(4096))
    const [disk, tree] = listImages({ override: pool })
    expect(tree?.createdMs).toBeGreaterThan(before)
    expect(disk?.modifiedMs).toBeGreaterThan(before)
    expect(spaceOf(disk!)).toMatchObject({ usageBytes: 4096, limitBytes: 4096 })
    const du = Number(
      execFileSync('du', ['-s', '-B1', at('tree')], { encoding: 'utf8' }).split('\t')[0],
    )
    expect(await measureUsage(at('tree'))).toBe(du)
  })

  test.skipIf(lacks('btrfs', 'loop devices'))(
    'are subvolumes on btrfs, with their own read-only flag',
    async () => {
      using btrfs = loopFileSystem('btrfs', directory.path)
      createSubvolume(join(btrfs.path, 'volume'))
      mkdirSync(join(btrfs.path, 'plain'))
      setSubvolumeReadOnly(join(btrfs.path, 'volume'), true)
      const found = listImages({ override: btrfs.path })
      expect(found.map(({ name, type, access }) => [name, type, access])).toEqual([
        ['plain', 'directory', 'read-write'],
        ['volume', 'subvolume', 'read-only'],
      ])
      expect(Math.abs((found[1]?.createdMs ?? 0) - Date.now())).toBeLessThan(60_000)
      for (const image of found) await removeImage(image, silent)
      expect(readdirSync(btrfs.path)).toEqual([])
    },
  )
})

describe.skipIf(lacks('root'))('removing an image', () => {
  test('takes its side files along and leaves nothing, immutable or not', async () => {
    mkdirSync(at('tree/usr'), { recursive: true })
    for (const suffix of ['.nspawn', '.verity', '.roothash']) writeFileSync(at(`tree${suffix}`), '')
    setImmutable(at('tree'), true)
    await removeImage(requireImage('tree', pool), silent)
    expect(readdirSync(pool)).toEqual([])
  })

  test('of a symlink keeps what it points to', async () => {
    mkdirSync(join(directory.path, 'elsewhere'))
    symlinkSync('../elsewhere', at('link'))
    await removeImage(requireImage('link', pool), silent)
    expect(readdirSync(pool)).toEqual([])
    expect(existsSync(join(directory.path, 'elsewhere'))).toBe(true)
  })

  test('is refused while it is in use or something is mounted in it, and then nothing is gone', async () => {
    mkdirSync(at('tree/mounted'), { recursive: true })
    const image = requireImage('tree', pool)
    const lock = lockImage(at('tree'), 'shared')
    await expect(removeImage(image, silent)).rejects.toMatchObject({ code: 'EBUSY' })
    lock.release()
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at('tree/mounted')])
    await expect(removeImage(image, silent)).rejects.toMatchObject({
      code: 'EBUSY',
      subject: at('tree/mounted'),
    })
    execFileSync('umount', [at('tree/mounted')])
    expect(readdirSync(pool)).toEqual(['tree'])
  })
})
