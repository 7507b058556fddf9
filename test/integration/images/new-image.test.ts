/** How new images come into being: whole or not at all, whoever dies, fails or is faster. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CleanupStack } from '../../../src/cleanup.ts'
import { isMarkedReadOnly, listImages } from '../../../src/images/discover.ts'
import { hiddenTreePath, removeStaleHiddenTrees } from '../../../src/images/hidden-tree.ts'
import { localLockPath, lockImage } from '../../../src/images/lock.ts'
import { stageImage, type ImageStage, type NewImage } from '../../../src/images/new-image.ts'
import { removeImage } from '../../../src/images/remove-image.ts'
import { silent, type LogEvent } from '../../../src/log.ts'
import { isSubvolume } from '../../../src/sys/btrfs.ts'
import { bundleProgram, type BundledProgram } from '../../fixtures/bundled-program.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { dieEverywhere } from './dying.ts'
import { loopFileSystem } from './loop-file-system.ts'

let room: TemporaryDirectory
let pool = ''
const at = (name: string): string => join(pool, name)
const names = (): string[] => readdirSync(pool).toSorted()
const code = (wanted: string) => expect.objectContaining({ code: wanted })

beforeEach(async () => {
  room = await temporaryDirectory()
  pool = join(room.path, 'pool')
  mkdirSync(pool)
})
afterEach(async () => {
  for (const image of listImages({ hidden: true, override: pool })) await removeImage(image, silent)
  await room[Symbol.asyncDispose]()
})

const tree = (more: Partial<NewImage> = {}): NewImage => ({
  directory: pool,
  name: 'image',
  kind: 'tree',
  existing: 'keep',
  access: 'read-write',
  sync: 'no',
  ...more,
})

/** Makes an image that holds `mark`, with the side files that `fill` makes. */
async function make(
  image: NewImage,
  mark: string,
  fill: (stage: ImageStage) => void = () => {},
  log: (event: LogEvent) => void = silent,
): Promise<string> {
  await using cleanup = new CleanupStack()
  const stage = stageImage(image, cleanup, log)
  writeFileSync(image.kind === 'tree' ? join(stage.path, 'mark') : stage.path, mark)
  fill(stage)
  return await stage.publish()
}

const markOf = (path: string): string => readFileSync(join(path, 'mark'), 'utf8')

describe.skipIf(lacks('root'))('a new image', () => {
  test.each(['yes', 'no'] as const)(
    'that is canceled before it has its name is not there (sync: %s)',
    async (sync) => {
      await using cleanup = new CleanupStack()
      const stage = stageImage(tree({ sync }), cleanup, silent)
      const signal = AbortSignal.abort()
      await expect(stage.publish({ signal })).rejects.toMatchObject({ code: 'CANCELED' })
      await cleanup.releaseAll()
      expect(names()).toEqual([])
    },
  )

  test('gets its name, its side files and its mark, and nothing is left beside them', async () => {
    const path = await make(tree({ access: 'read-only' }), 'new', (stage) => {
      writeFileSync(stage.sideFile('.nspawn'), '[Exec]\n')
      writeFileSync(join(stage.directory, 'download'), 'x')
    })
    expect(path).toBe(at('image'))
    expect(markOf(path)).toBe('new')
    expect(isMarkedReadOnly(path)).toBe(true)
    const disk = await make(tree({ name: 'disk', kind: 'disk', access: 'read-only' }), 'bytes')
    expect(disk).toBe(at('disk.raw'))
    expect(isMarkedReadOnly(disk)).toBe(true)
    expect(names()).toEqual(['disk.raw', 'image', 'image.nspawn'])
  })

  test('is made where only its owner gets, unless everybody shall', async () => {
    for (const [reach, mode] of [
      [undefined, 0o700],
      ['everybody', 0o755],
    ] as const) {
      await using cleanup = new CleanupStack()
      const stage = stageImage(tree({ reach }), cleanup, silent)
      expect(statSync(stage.directory).mode & 0o777).toBe(mode)
    }
  })

  test('a left-over that cannot be removed now can be later, in the same process', () => {
    const path = hiddenTreePath(pool, 'image', 'stale')
    const inside = join(path, 'mounted')
    mkdirSync(inside, { recursive: true })
    writeFileSync(localLockPath(path), 'tsnspawn 1\n')
    execFileSync('mount', ['-t', 'tmpfs', 'none', inside])
    const events: LogEvent[] = []
    try {
      expect(removeStaleHiddenTrees(pool, (event) => void events.push(event))).toEqual([])
    } finally {
      execFileSync('umount', [inside])
    }
    expect(events).toMatchObject([{ kind: 'warning' }])
    expect(removeStaleHiddenTrees(pool, silent)).toEqual([path])
    expect(names()).toEqual([])
  })

  test('a lock file that is too large to be ours is left alone', () => {
    const path = hiddenTreePath(pool, 'image', 'large')
    mkdirSync(path)
    writeFileSync(localLockPath(path), 'tsnspawn 1\n')
    truncateSync(localLockPath(path), 1 << 30)
    const events: LogEvent[] = []
    expect(removeStaleHiddenTrees(pool, (event) => void events.push(event))).toEqual([])
    expect(events).toEqual([])
    expect(existsSync(path)).toBe(true)
    for (const left of [path, localLockPath(path)]) rmSync(left, { recursive: true })
  })

  test('is refused under a name that is no name or is taken, by an image of the other kind too', async () => {
    await make(tree(), 'old')
    await make(tree({ name: 'disk', kind: 'disk' }), 'old')
    await expect(make(tree({ name: '.#hidden' }), 'x')).rejects.toThrow(code('USAGE'))
    for (const existing of ['keep', 'replace'] as const) {
      const other = { existing, kind: 'disk' } as const
      await expect(make(tree(other), 'x')).rejects.toThrow(code('IMAGE_EXISTS'))
      await expect(make(tree({ existing, name: 'disk' }), 'x')).rejects.toThrow(
        code('IMAGE_EXISTS'),
      )
    }
    await expect(make(tree(), 'x')).rejects.toThrow(code('IMAGE_EXISTS'))
    expect(markOf(at('image'))).toBe('old')
    expect(names()).toEqual(['disk.raw', 'image'])
  })

  test('that replaces another takes its side files away, and leaves settings that nobody brought', async () => {
    await make(tree(), 'old')
    for (const suffix of ['nspawn', 'roothash', 'verity'])
      writeFileSync(at(`image.${suffix}`), 'old')
    await make(tree({ existing: 'replace' }), 'new', (stage) =>
      writeFileSync(stage.sideFile('.verity'), 'new'),
    )
    expect(markOf(at('image'))).toBe('new')
    expect(names()).toEqual(['image', 'image.nspawn', 'image.verity'])
    expect(readFileSync(at('image.nspawn'), 'utf8')).toBe('old')
    expect(readFileSync(at('image.verity'), 'utf8')).toBe('new')
  })

  test('does not replace settings that wait for it, and says so', async () => {
    writeFileSync(at('image.nspawn'), 'mine')
    const said: string[] = []
    await make(
      tree(),
      'new',
      (stage) => writeFileSync(stage.sideFile('.nspawn'), 'theirs'),
      (event) => said.push(event.kind === 'notice' ? event.text : ''),
    )
    expect(readFileSync(at('image.nspawn'), 'utf8')).toBe('mine')
    expect(said).toEqual([`${at('image.nspawn')} is there already, and is kept`])
  })

  test('never replaces one that is in use, at the start or at the end', async () => {
    await make(tree(), 'old')
    const early = lockImage(at('image'), 'shared')
    await expect(make(tree({ existing: 'replace' }), 'x')).rejects.toThrow(code('EBUSY'))
    early.release()
    let late: ReturnType<typeof lockImage> | undefined
    await expect(
      make(tree({ existing: 'replace' }), 'x', () => {
        late = lockImage(at('image'), 'shared')
      }),
    ).rejects.toThrow(code('EBUSY'))
    late?.release()
    expect(markOf(at('image'))).toBe('old')
    expect(names()).toEqual(['image'])
  })

  test('is made by one at a time, and the name is free again when that one gives up', async () => {
    await using first = new CleanupStack()
    stageImage(tree(), first, silent)
    await expect(make(tree(), 'x')).rejects.toThrow(code('EBUSY'))
    await make(tree({ name: 'other' }), 'x')
    await first.releaseAll()
    await make(tree(), 'x')
    expect(names()).toEqual(['image', 'other'])
  })

  test('leaves what somebody else made meanwhile alone, and takes its own side files back', async () => {
    await expect(
      make(tree(), 'x', (stage) => {
        writeFileSync(stage.sideFile('.roothash'), 'mine')
        mkdirSync(at('image/usr'), { recursive: true })
      }),
    ).rejects.toThrow(code('IMAGE_EXISTS'))
    expect(names()).toEqual(['image'])
    expect(readdirSync(at('image'))).toEqual(['usr'])
  })
})

describe.skipIf(lacks('root', 'program:strace'))('kill -9 while an image is made', () => {
  let program: BundledProgram
  beforeAll(() => {
    program = bundleProgram('integration/images/change-images')
  })
  afterAll(() => program[Symbol.dispose]())

  const contents = (kind: string): string | undefined => {
    const path = kind === 'tree' ? at('image/usr/share/mark') : at('image.raw')
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined
  }
  const sides = (): (string | undefined)[] =>
    ['image.nspawn', 'image.roothash'].map((name) =>
      existsSync(at(name)) ? readFileSync(at(name), 'utf8') : undefined,
    )

  const makeOld = (kind: 'tree' | 'disk') =>
    make(tree({ kind }), 'old', (stage) => {
      if (kind === 'tree') {
        mkdirSync(join(stage.path, 'usr/share'), { recursive: true })
        writeFileSync(join(stage.path, 'usr/share/mark'), 'old')
      }
      for (const suffix of ['.nspawn', '.roothash'] as const)
        writeFileSync(stage.sideFile(suffix), 'old')
    })

  test.each([
    ['tree', 'keep'],
    ['tree', 'replace'],
    ['disk', 'replace'],
  ] as const)(
    'at any moment leaves the old or the new: %s, %s',
    async (kind, existing) => {
      const path = kind === 'tree' ? at('image') : at('image.raw')
      const died = { before: 0, after: 0 }
      await dieEverywhere(
        program,
        ['make', pool, 'image', kind, existing, 'new'],
        async () => {
          if (existing === 'replace') await makeOld(kind)
        },
        async (isDead) => {
          const seen = contents(kind)
          expect([existing === 'replace' ? 'old' : undefined, 'new']).toContain(seen)
          const visible = listImages({ override: pool }).map(({ name }) => name)
          expect(visible).toEqual(seen === undefined ? [] : ['image'])
          removeStaleHiddenTrees(pool, silent)
          expect([contents(kind), ...sides()]).toEqual([seen, seen, seen])
          expect(names().filter((name) => /^\.#(\.#|machine)/.test(name))).toEqual([])
          if (seen === 'new') expect(isMarkedReadOnly(path)).toBe(true)
          for (const image of listImages({ override: pool })) await removeImage(image, silent)
          expect(names()).toEqual([])
          if (isDead) died[seen === 'new' ? 'after' : 'before']++
        },
      )
      // Some died before the one moment, some after it.
      expect(died.before).toBeGreaterThan(3)
      expect(died.after).toBeGreaterThan(3)
    },
    60_000,
  )
})

describe.skipIf(lacks('root', 'loop devices', 'btrfs'))('a new image on btrfs', () => {
  test('is a subvolume, marked read-only by its own flag, and replaces one', async () => {
    using disk = loopFileSystem('btrfs', room.path)
    const image = tree({ directory: disk.path })
    await make(image, 'old')
    const path = await make({ ...image, existing: 'replace', access: 'read-only' }, 'new')
    expect(isSubvolume(path) && isMarkedReadOnly(path)).toBe(true)
    expect(markOf(path)).toBe('new')
    const subvolumes = execFileSync('btrfs', ['subvolume', 'list', disk.path], { encoding: 'utf8' })
    expect(subvolumes.trim().split('\n')).toHaveLength(1)
  })
})
