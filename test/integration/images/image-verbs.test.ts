/** Images that are cloned, renamed, marked, limited and removed: by type, side files and all, at any moment. */
import { execFileSync, spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CleanupStack } from '../../../src/cleanup.ts'
import { cleanImages } from '../../../src/images/clean-images.ts'
import { cloneImage, type ClonedImage } from '../../../src/images/clone-image.ts'
import { hostImage, listImages, requireImage } from '../../../src/images/discover.ts'
import { removeStaleHiddenTrees } from '../../../src/images/hidden-tree.ts'
import { lockImage, lockImageName } from '../../../src/images/lock.ts'
import { setImageAccess } from '../../../src/images/mark-image.ts'
import { knownFile, planMove, type NameChange } from '../../../src/images/name-change.ts'
import { removeImage } from '../../../src/images/remove-image.ts'
import { renameImage } from '../../../src/images/rename-image.ts'
import { limitImage, limitPool, spaceOf, spaceOfPool } from '../../../src/images/space.ts'
import { silent, type LogEvent, type LogSink } from '../../../src/log.ts'
import { createSubvolume, isSubvolume, subvolumeId } from '../../../src/sys/btrfs.ts'
import { bundleProgram, type BundledProgram } from '../../fixtures/bundled-program.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { dieEverywhere } from './dying.ts'
import { loopFileSystem } from './loop-file-system.ts'

let room: TemporaryDirectory
let pool = ''
const at = (name: string): string => join(pool, name)
const code = (wanted: string) => expect.objectContaining({ code: wanted })
const names = (): string[] => readdirSync(pool).toSorted()
const access = (name: string) => requireImage(name, pool).access

beforeEach(async () => {
  room = await temporaryDirectory()
  pool = join(room.path, 'pool')
  mkdirSync(pool)
})
afterEach(async () => {
  await removeAll()
  await room[Symbol.asyncDispose]()
})

async function removeAll(): Promise<void> {
  for (const image of listImages({ hidden: true, override: pool })) await removeImage(image, silent)
}

async function clone(
  name: string,
  newName: string,
  readOnly = false,
  log: LogSink = silent,
): Promise<ClonedImage> {
  await using cleanup = new CleanupStack()
  const mode = readOnly ? 'read-only' : 'read-write'
  const image = name === '.host' ? hostImage() : requireImage(name, pool)
  return await cloneImage(image, { directory: pool, name: newName, access: mode, log }, cleanup)
}

const rename = (name: string, newName: string): string =>
  renameImage(requireImage(name, pool), newName, silent, pool)

function makeTree(name: string): void {
  mkdirSync(at(`${name}/etc`), { recursive: true })
  writeFileSync(at(`${name}/etc/hostname`), name)
}

describe.skipIf(lacks('root'))('a clone', () => {
  test('of a tree is a tree with the same files, settings and hashes', async () => {
    makeTree('one')
    execFileSync('chmod', ['4755', at('one/etc/hostname')])
    for (const suffix of ['.nspawn', '.roothash', '.verity']) writeFileSync(at(`one${suffix}`), 'x')
    expect(await clone('one', 'two')).toEqual({ path: at('two'), how: 'copy' })
    expect(statSync(at('two/etc/hostname')).mode & 0o7777).toBe(0o4755)
    const made = ['two', 'two.nspawn', 'two.roothash', 'two.verity']
    expect(names().filter((name) => !name.startsWith('one'))).toEqual(made)
    expect([access('one'), access('two')]).toEqual(['read-write', 'read-write'])
    await clone('two', 'three', true)
    expect(access('three')).toBe('read-only')
  })

  test('of a disk image keeps its holes', async () => {
    writeFileSync(at('disk.raw'), 'start')
    truncateSync(at('disk.raw'), 64 << 20)
    expect((await clone('disk', 'copy', true)).path).toBe(at('copy.raw'))
    const { size, blocks } = statSync(at('copy.raw'))
    expect([size, blocks * 512 < 1 << 20]).toEqual([64 << 20, true])
    expect(readFileSync(at('copy.raw')).subarray(0, 5).toString()).toBe('start')
    expect(access('copy')).toBe('read-only')
  })

  test('gets no name that is taken, is no name, or is being given to another', async () => {
    makeTree('one')
    mkdirSync(at('empty'))
    writeFileSync(at('disk.raw'), '')
    for (const taken of ['one', 'disk']) {
      await expect(clone('one', taken)).rejects.toThrow(code('IMAGE_EXISTS'))
    }
    await expect(clone('one', 'a/b')).rejects.toThrow(code('USAGE'))
    await expect(clone('one', '.host')).rejects.toThrow(code('USAGE'))
    await expect(clone('one', 'x'.repeat(240))).rejects.toThrow(code('USAGE'))
    await expect(clone('one', 'empty')).rejects.toThrow(code('IMAGE_EXISTS'))
    const reserved = lockImageName('two', pool)
    await expect(clone('one', 'two')).rejects.toThrow(code('EBUSY'))
    reserved.release()
    expect(names()).toEqual(['disk.raw', 'empty', 'one'])
  })

  test('of one that is in use is made all the same, with a warning', async () => {
    makeTree('one')
    const lock = lockImage(at('one'), 'exclusive')
    const events: LogEvent[] = []
    await clone('one', 'two', false, (event) => events.push(event))
    lock.release()
    expect(events.filter(({ kind }) => kind === 'warning')).toMatchObject([
      { text: expect.stringContaining('one is in use') },
    ])
    expect(existsSync(at('two/etc/hostname'))).toBe(true)
  })

  test('that is canceled while its side files are copied leaves nothing', async () => {
    makeTree('one')
    writeFileSync(at('one.nspawn'), '')
    const lock = lockImage(at('one'), 'exclusive')
    const canceling = new AbortController()
    const log: LogSink = (event) => {
      if (event.kind === 'warning') queueMicrotask(() => canceling.abort())
    }
    await using cleanup = new CleanupStack()
    const options = { directory: pool, name: 'two', access: 'read-write', log } as const
    const cloning = cloneImage(
      requireImage('one', pool),
      { ...options, signal: canceling.signal },
      cleanup,
    )
    await expect(cloning).rejects.toThrow(code('CANCELED'))
    await cleanup.releaseAll()
    lock.release()
    expect(names()).toEqual(['one', 'one.nspawn'])
  })

  test('that lies in the tree it is made of does not hold itself or the other images', async () => {
    pool = join(room.path, 'pool/host/var/lib/machines')
    mkdirSync(pool, { recursive: true })
    makeTree('other')
    const host = join(room.path, 'pool/host')
    writeFileSync(join(host, 'file'), '')
    await using cleanup = new CleanupStack()
    await cloneImage(
      { ...hostImage(), path: host },
      { directory: pool, name: 'copy', access: 'read-write', log: silent },
      cleanup,
    )
    expect(readdirSync(at('copy'))).toEqual(['file', 'var'])
    expect(readdirSync(at('copy/var/lib/machines'))).toEqual([])
  })

  test('of a block device is refused', async () => {
    const block = { ...hostImage(), name: 'dev', type: 'block', path: '/dev/x' } as const
    await using cleanup = new CleanupStack()
    await expect(
      cloneImage(
        block,
        { directory: pool, name: 'two', access: 'read-write', log: silent },
        cleanup,
      ),
    ).rejects.toThrow(code('NOT_SUPPORTED'))
  })

  test('for which the disk has no room leaves nothing, and says so', async () => {
    using disk = loopFileSystem('ext4', room.path)
    pool = join(disk.path, 'pool')
    makeTree('one')
    for (const large of ['one/large', 'disk.raw']) {
      writeFileSync(at(large), Buffer.alloc(30 << 20, 1))
      const name = large === 'disk.raw' ? 'disk' : 'one'
      await expect(clone(name, 'two')).rejects.toThrow(code('ENOSPC'))
      expect(names()).toEqual(name === 'one' ? ['one'] : ['disk.raw'])
      await removeAll()
    }
  })

  test.skipIf(lacks('xfs', 'loop devices'))('shares its blocks where it can', async () => {
    using disk = loopFileSystem('xfs', room.path)
    pool = disk.path
    makeTree('one')
    writeFileSync(at('one/large'), Buffer.alloc(32 << 20, 1))
    writeFileSync(at('disk.raw'), Buffer.alloc(32 << 20, 1))
    const free = () => Number(execFileSync('stat', ['-fc', '%f', pool], { encoding: 'utf8' }))
    execFileSync('sync', ['-f', pool])
    const before = free()
    await clone('one', 'two')
    await clone('disk', 'disk2')
    execFileSync('sync', ['-f', pool])
    expect((before - free()) * 4096).toBeLessThan(4 << 20)
    await removeAll()
  })
})

describe.skipIf(lacks('root'))('renaming', () => {
  test('takes side files along, and keeps the read-only mark', async () => {
    makeTree('one')
    for (const suffix of ['.nspawn', '.verity']) writeFileSync(at(`one${suffix}`), 'x')
    setImageAccess(requireImage('one', pool), 'read-only')
    expect(rename('one', 'two')).toBe(at('two'))
    expect(names()).toEqual(['two', 'two.nspawn', 'two.verity'])
    expect(access('two')).toBe('read-only')
    writeFileSync(at('disk.raw'), '')
    expect(rename('disk', 'other')).toBe(at('other.raw'))
  })

  test('of a symlink renames the link', () => {
    mkdirSync(join(room.path, 'elsewhere'))
    symlinkSync('../elsewhere', at('link'))
    rename('link', 'other')
    expect(lstatSync(at('other')).isSymbolicLink()).toBe(true)
    expect(existsSync(join(room.path, 'elsewhere'))).toBe(true)
  })

  test('is refused for names that are taken, and images that are in use', () => {
    makeTree('one')
    makeTree('two')
    writeFileSync(at('disk.raw'), '')
    writeFileSync(at('one.nspawn'), '')
    writeFileSync(at('three.nspawn'), 'of another')
    for (const taken of ['two', 'disk', 'three'])
      expect(() => rename('one', taken)).toThrow(code('IMAGE_EXISTS'))
    expect(() => rename('one', '.host')).toThrow(code('USAGE'))
    const lock = lockImage(at('one'), 'shared')
    expect(() => rename('one', 'four')).toThrow(code('EBUSY'))
    lock.release()
    expect(names()).toEqual(['disk.raw', 'one', 'one.nspawn', 'three.nspawn', 'two'])
  })
})

describe.skipIf(lacks('root'))('the read-only mark', () => {
  test('is put on and lifted for trees and files, unless they are in use', () => {
    makeTree('one')
    writeFileSync(at('disk.raw'), '', { mode: 0o640 })
    for (const name of ['one', 'disk']) {
      setImageAccess(requireImage(name, pool), 'read-only')
      expect(access(name)).toBe('read-only')
      setImageAccess(requireImage(name, pool), 'read-write')
      expect(access(name)).toBe('read-write')
    }
    expect(statSync(at('disk.raw')).mode & 0o777).toBe(0o640)
    const lock = lockImage(at('one'), 'shared')
    expect(() => setImageAccess(requireImage('one', pool), 'read-only')).toThrow(code('EBUSY'))
    lock.release()
  })

  test('is refused where the file system has none, and a clone there comes with a warning', async () => {
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', pool])
    try {
      makeTree('one')
      const image = requireImage('one', pool)
      expect(() => setImageAccess(image, 'read-only')).toThrow(code('NOT_SUPPORTED'))
      const events: LogEvent[] = []
      await clone('one', 'two', true, (event) => events.push(event))
      expect(events.filter(({ kind }) => kind === 'warning')).toMatchObject([
        { text: expect.stringContaining(`${at('two')} can be written`) },
      ])
      expect(readFileSync(at('two/etc/hostname'), 'utf8')).toBe('one')
    } finally {
      execFileSync('umount', [pool])
    }
  })

  test.skipIf(lacks('loop devices'))('is the kernel’s for a block device', () => {
    writeFileSync(join(room.path, 'backing'), Buffer.alloc(1 << 20))
    const options = ['--find', '--show', join(room.path, 'backing')]
    const device = execFileSync('losetup', options, { encoding: 'utf8' }).trim()
    try {
      symlinkSync(device, at('device'))
      expect(requireImage('device', pool)).toMatchObject({ type: 'block', access: 'read-write' })
      expect(spaceOf(requireImage('device', pool)).usageBytes).toBe(1 << 20)
      setImageAccess(requireImage('device', pool), 'read-only')
      expect(access('device')).toBe('read-only')
      setImageAccess(requireImage('device', pool), 'read-write')
      expect(access('device')).toBe('read-write')
    } finally {
      // The mark outlives the file behind the device.
      execFileSync('blockdev', ['--setrw', device])
      execFileSync('losetup', ['--detach', device])
    }
  })
})

describe.skipIf(lacks('root'))('the host', () => {
  test('is nothing that can be removed, renamed, marked or limited', async () => {
    const refused = code('EROFS')
    await expect(removeImage(hostImage(), silent)).rejects.toThrow(refused)
    expect(() => renameImage(hostImage(), 'x', silent, pool)).toThrow(refused)
    expect(() => setImageAccess(hostImage(), 'read-only')).toThrow(refused)
    expect(() => limitImage(hostImage(), 5)).toThrow(refused)
  })
})

describe.skipIf(lacks('root'))('cleaning', () => {
  test('removes hidden images and left-overs, or all, and passes over what is in use', async () => {
    for (const name of ['one', '.tar-cached', '.busy']) makeTree(name)
    const lock = lockImage(at('.busy'), 'shared')
    writeFileSync(at('.#.#machine.left0123456789abcdef.lck'), 'tsnspawn 1\n')
    mkdirSync(at('.#machine.left0123456789abcdef'))
    const removed: string[] = []
    await cleanImages('hidden', pool, silent, ({ name }) => removed.push(name))
    expect(removed).toEqual(['.tar-cached'])
    expect(names()).toEqual(['.#.busy.lck', '.busy', 'one'])
    lock.release()
    await cleanImages('all', pool, silent, ({ name }) => removed.push(name))
    expect(removed).toEqual(['.tar-cached', '.busy', 'one'])
    expect(names()).toEqual([])
  })
})

describe.skipIf(lacks('root', 'loop devices'))('a disk that is full to the last byte', () => {
  test.each(['ext4', 'xfs', 'btrfs'] as const)('lets images be removed, on %s', async (kind) => {
    if (kind !== 'ext4' && lacks(kind)) return
    using disk = loopFileSystem(kind, room.path)
    pool = disk.path
    makeTree('one')
    writeFileSync(at('two.raw'), 'x')
    const fd = openSync(at('one/large'), 'w')
    for (let size = 1 << 20; size > 0; size >>= 1) {
      try {
        for (;;) writeSync(fd, Buffer.alloc(size, 1))
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENOSPC' })
        execFileSync('sync', ['-f', pool])
      }
    }
    closeSync(fd)
    await removeImage(requireImage('two', pool), silent)
    await removeImage(requireImage('one', pool), silent)
    expect(names().filter((name) => name !== 'lost+found')).toEqual([])
    pool = room.path
  })
})

/** The directories of the whole system, under names that nobody else has. */
describe.skipIf(lacks('root'))('an administrator’s settings', () => {
  const [one, two, three] = ['one', 'two', 'three'].map(
    (word) => `tsnspawn-test-${word}-${process.pid}`,
  ) as [string, string, string]
  const places = ['/etc/systemd/nspawn', '/run/systemd/nspawn', '/var/lib/machines']
  const found = (): string[] =>
    places
      .flatMap((place) => readdirSync(place).map((name) => join(place, name)))
      .filter((path) => path.includes(`-${process.pid}`))
      .toSorted()
  const of = (name: string): string[] => [
    ...places.map((place) => join(place, `${name}.nspawn`)),
    join('/var/lib/machines', name),
  ]

  test('go with images of the standard directories, and with no others', async () => {
    const made = places.filter((place) => mkdirSync(place, { recursive: true }) !== undefined)
    for (const place of places) {
      writeFileSync(join(place, `${one}.nspawn`), place)
    }
    mkdirSync(join('/var/lib/machines', one))
    makeTree(one)
    try {
      await removeImage(requireImage(one, pool), silent)
      expect(found()).toEqual(of(one).toSorted())
      await using cleanup = new CleanupStack()
      await cloneImage(
        requireImage(one),
        { directory: '/var/lib/machines', name: two, access: 'read-write', log: silent },
        cleanup,
      )
      await cleanup.releaseAll()
      expect(found()).toEqual([...of(one), ...of(two)].toSorted())
      expect(readFileSync(`/run/systemd/nspawn/${two}.nspawn`, 'utf8')).toBe('/run/systemd/nspawn')
      renameImage(requireImage(two), three, silent, undefined)
      expect(found()).toEqual([...of(one), ...of(three)].toSorted())
    } finally {
      for (const { name, path } of listImages().filter((each) =>
        each.path.includes('tsnspawn-test'),
      ))
        if (path.includes(`-${process.pid}`)) await removeImage(requireImage(name), silent)
      expect(found()).toEqual([])
      for (const place of made) rmdirSync(place)
    }
  })
})

describe.skipIf(lacks('root', 'btrfs', 'loop devices'))('on btrfs', () => {
  const btrfs = (...args: string[]): string =>
    execFileSync('btrfs', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

  test('clones are snapshots with all that is nested, also when read-only and renamed', async () => {
    using disk = loopFileSystem('btrfs', room.path)
    pool = disk.path
    createSubvolume(at('one'))
    createSubvolume(at('one/nested'))
    writeFileSync(at('one/nested/file'), 'x')
    expect(await clone('one', 'two', true)).toMatchObject({ how: 'snapshot' })
    expect(readFileSync(at('two/nested/file'), 'utf8')).toBe('x')
    rename('two', 'three')
    expect(access('three')).toBe('read-only')
    await clone('three', 'four')
    writeFileSync(at('four/new'), '')
    mkdirSync(at('plain'))
    expect(await clone('plain', 'five')).toMatchObject({ how: 'copy' })
    expect(isSubvolume(at('five'))).toBe(true)
    await removeAll()
    expect(btrfs('subvolume', 'list', pool)).toBe('')
  })

  test('limits need quota, hold for one image or for all, and do not keep it from being removed', async () => {
    using disk = loopFileSystem('btrfs', room.path)
    pool = disk.path
    createSubvolume(at('one'))
    createSubvolume(at('one/nested'))
    createSubvolume(at('two'))
    mkdirSync(at('plain'))
    const image = requireImage('one', pool)
    expect(() => limitImage(image, 5 << 20)).toThrow(code('QUOTA_OFF'))
    expect(() => limitPool(pool, 5 << 20)).toThrow(code('QUOTA_OFF'))
    expect(spaceOf(image).usageBytes).toBeUndefined()
    btrfs('quota', 'enable', pool)
    btrfs('quota', 'rescan', '-w', pool)
    expect(() => limitImage(requireImage('plain', pool), 5)).toThrow(code('NOT_SUPPORTED'))
    expect(() => limitPool(at('plain'), 5)).toThrow(code('NOT_SUPPORTED'))
    limitImage(image, 5 << 20)
    expect(spaceOf(image).limitBytes).toBe(5 << 20)
    const fill = (path: string): void => writeFileSync(path, Buffer.alloc(20 << 20, 1))
    const overQuota = expect.objectContaining({ errno: -constants.errno.EDQUOT })
    expect(() => fill(at('one/large'))).toThrow(overQuota)
    execFileSync('sync', ['-f', pool])
    expect(spaceOf(image).usageBytes).toBeGreaterThan(4 << 20)
    await removeImage(image, silent)
    limitPool(pool, 30 << 20)
    btrfs('quota', 'rescan', '-w', pool)
    await clone('two', 'three')
    // The kernel counts again when something joins a group.
    btrfs('quota', 'rescan', '-w', pool)
    fill(at('three/large'))
    execFileSync('sync', ['-f', pool])
    expect(spaceOfPool(pool)).toMatchObject({ limitBytes: 30 << 20 })
    expect(spaceOfPool(pool).usageBytes).toBeGreaterThan(20 << 20)
    expect(() => fill(at('two/large'))).toThrow(overQuota)
    limitPool(pool, undefined)
    expect(spaceOfPool(pool).limitBytes).toBeUndefined()
    const three = subvolumeId(at('three'))
    btrfs('qgroup', 'create', `254/${three}`, pool)
    btrfs('qgroup', 'assign', '--no-rescan', `0/${three}`, `254/${three}`, pool)
    // Newer kernels keep the groups until the space is free, which is looked after at every commit.
    execFileSync('mount', ['-o', 'remount,commit=1', pool])
    await removeAll()
    btrfs('subvolume', 'sync', '-s', '1', pool)
    const groups = btrfs('qgroup', 'show', pool).match(/^\d+\/\d+/gm)
    expect(groups?.map((group) => group.split('/')[0])).toEqual(['0', '255'])
  })
})

describe.skipIf(lacks('root', 'program:strace'))('kill -9', () => {
  let program: BundledProgram
  beforeAll(() => {
    program = bundleProgram('integration/images/change-images')
  })
  afterAll(() => program[Symbol.dispose]())

  /** A read-only tree with side files. */
  function makeOne(): void {
    makeTree('one')
    writeFileSync(at('one.nspawn'), 'x')
    writeFileSync(at('one.verity'), 'x')
    setImageAccess(requireImage('one', pool), 'read-only')
  }
  const own = (name: string) => [name, `${name}.nspawn`, `${name}.verity`]
  const visible = () => listImages({ override: pool }).map(({ name }) => name)
  const settled = () => {
    removeStaleHiddenTrees(pool, silent)
    return names().filter((name) => !name.endsWith('.lck'))
  }

  test('while renaming leaves the one name or the other, whole and marked', async () => {
    const seen = new Set<string>()
    await dieEverywhere(program, ['rename', pool, 'one', 'two'], makeOne, async () => {
      const [name = ''] = visible()
      expect(visible()).toEqual([name])
      expect(existsSync(at(`${name}/etc/hostname`))).toBe(true)
      expect(settled()).toEqual(own(name))
      expect(access(name)).toBe('read-only')
      seen.add(name)
      await removeAll()
    })
    expect([...seen].toSorted()).toEqual(['one', 'two'])
  }, 60_000)

  test('while removing leaves it all or nothing', async () => {
    const seen = new Set<number>()
    await dieEverywhere(program, ['remove', pool, 'one'], makeOne, async () => {
      const there = visible().length
      expect(settled()).toEqual(there === 1 ? own('one') : [])
      if (there === 1) expect(access('one')).toBe('read-only')
      seen.add(there)
      await removeAll()
    })
    expect(seen).toEqual(new Set([0, 1]))
  }, 60_000)

  test('while filling from a template leaves nothing, or a whole tree that gets its mark', async () => {
    const seen = new Set<number>()
    const makeTemplate = () => {
      makeTree('template')
      mkdirSync(at('template/usr'))
    }
    await dieEverywhere(program, ['fill', pool, 'template', 'two'], makeTemplate, async () => {
      settled()
      const there = visible().filter((name) => name !== 'template')
      expect(names().filter((name) => name.startsWith('.#machine'))).toEqual([])
      if (there.length > 0) {
        expect(existsSync(at('two/etc/hostname'))).toBe(true)
        expect(existsSync(at('two/usr'))).toBe(true)
        expect(access('two')).toBe('read-only')
      }
      seen.add(there.length)
      await removeAll()
    })
    expect(seen).toEqual(new Set([0, 1]))
  }, 120_000)

  test('long ago does not touch what an administrator put in place of side files since', () => {
    mkdirSync(at('.#machine.one0123456789abcdef'))
    const identity = (name: string) => knownFile(at(name)).file
    for (const name of ['one.nspawn', 'one.verity', 'one.roothash']) writeFileSync(at(name), 'old')
    const change: NameChange = {
      target: at('.#machine.one0123456789abcdef'),
      image: identity('.#machine.one0123456789abcdef')!,
      mark: false,
      before: [],
      after: [planMove(at('one.roothash'), at('two.roothash'))],
      remove: [knownFile(at('one.nspawn')), knownFile(at('one.verity'))],
    }
    for (const name of ['one.nspawn', 'two.roothash']) {
      writeFileSync(at('new'), 'new')
      renameSync(at('new'), at(name))
    }
    const lock = at('.#.#machine.one0123456789abcdef.lck')
    writeFileSync(lock, `tsnspawn 1\n${JSON.stringify(change)}\n`)
    expect(settled()).toEqual(['one.nspawn', 'one.roothash', 'two.roothash'])
    expect(readFileSync(at('two.roothash'), 'utf8')).toBe('new')
    for (const text of ['{"before":1}', 'null', '{"target":"/', '[]']) {
      writeFileSync(lock, `tsnspawn 1\n${text}\n`)
      expect(settled()).toHaveLength(3)
    }
  })

  test('while cloning leaves a whole clone or none', async () => {
    const seen = new Set<number>()
    await dieEverywhere(program, ['clone', pool, 'one', 'two'], makeOne, async () => {
      const there = visible()
      expect(settled()).toEqual([...own('one'), ...(there.length === 2 ? own('two') : [])])
      for (const name of there) expect(access(name)).toBe('read-only')
      seen.add(there.length)
      await removeAll()
    })
    expect(seen).toEqual(new Set([1, 2]))
  }, 60_000)

  test('of nobody: two that rename to one name at the same time end with one', async () => {
    makeTree('a')
    makeTree('b')
    const race = (from: string): Promise<number | null> => {
      const [node, ...args] = program.command
      const all = [...args, 'rename', pool, from, 'winner']
      const child = spawn(node, all, { env: program.env, stdio: 'ignore' })
      return new Promise((resolve) => child.on('exit', resolve))
    }
    const ends = await Promise.all([race('a'), race('b')])
    expect(ends.filter((status) => status === 0)).toHaveLength(1)
    expect(visible()).toEqual([ends[0] === 0 ? 'b' : 'a', 'winner'])
  })
})
