import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CleanupStack } from '../../../src/cleanup.ts'
import {
  prepareEphemeral,
  removeStaleEphemerals,
  type EphemeralRoot,
} from '../../../src/images/ephemeral.ts'
import { claimHiddenTree } from '../../../src/images/hidden-tree.ts'
import { localLockPath } from '../../../src/images/lock.ts'
import type { LogEvent } from '../../../src/log.ts'
import {
  createSubvolume,
  isSubvolume,
  isSubvolumeReadOnly,
  setSubvolumeReadOnly,
} from '../../../src/sys/btrfs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from './loop-file-system.ts'
import { treeListing } from './tree-listing.ts'

const mount = (...args: string[]): void => {
  execFileSync('mount', args)
}
const unmount = (path: string): void => {
  execFileSync('umount', ['-l', path])
}

function makeTree(path: string): string {
  mkdirSync(join(path, 'usr'), { recursive: true })
  writeFileSync(join(path, 'usr/file'), 'below')
  return path
}

/** Runs `use` with the overlay mounted as the runtime mounts it. */
function onOverlay(root: EphemeralRoot, use: (path: string) => void): void {
  if (root.kind !== 'overlay') throw new Error(`a ${root.kind}, not an overlay`)
  const path = join(root.directory, 'merged')
  mkdirSync(path)
  const options = `lowerdir=${root.lower},upperdir=${root.upper},workdir=${root.workDirectory},volatile`
  mount('-t', 'overlay', 'overlay', '-o', options, path)
  try {
    use(path)
  } finally {
    execFileSync('umount', [path])
  }
}

describe.skipIf(lacks('root', 'overlay', 'program:setfacl'))('a throw-away copy', () => {
  test('is an overlay beside the tree: changes stay out of the tree and vanish at the end', async () => {
    await using directory = await temporaryDirectory()
    const tree = makeTree(join(directory.path, 'tree'))
    const before = treeListing(tree)
    const cleanup = new CleanupStack()
    const root = await prepareEphemeral(tree, {}, cleanup)
    onOverlay(root, (path) => {
      expect(readFileSync(join(path, 'usr/file'), 'utf8')).toBe('below')
      writeFileSync(join(path, 'usr/file'), 'changed')
      execFileSync('mv', [join(path, 'usr'), join(path, 'moved')])
    })
    expect(dirname((root as { directory: string }).directory)).toBe(directory.path)
    expect(treeListing(tree)).toBe(before)
    await cleanup.releaseAll()
    expect(readdirSync(directory.path)).toEqual(['tree'])
  })

  test('has the mode, owner, times and ACL of the top of the tree', async () => {
    await using directory = await temporaryDirectory()
    const tree = makeTree(join(directory.path, 'tree'))
    execFileSync('setfacl', ['-m', 'u:1234:rx,d:g:7:r', tree])
    chownSync(tree, 65536, 65537)
    chmodSync(tree, 0o1751)
    await using cleanup = new CleanupStack()
    const root = await prepareEphemeral(tree, {}, cleanup)
    const acl = (path: string): string =>
      execFileSync('getfacl', ['-n', '-c', '-p', path], { encoding: 'utf8' })
    onOverlay(root, (path) => {
      const [top, lower] = [statSync(path), statSync(tree)]
      expect([top.mode, top.uid, top.gid, top.mtimeMs]).toEqual([
        lower.mode,
        65536,
        65537,
        lower.mtimeMs,
      ])
      expect(acl(path)).toBe(acl(tree))
    })
  })

  test('what a killed run left goes away with the next run, what a living one uses stays', async () => {
    await using directory = await temporaryDirectory()
    const tree = makeTree(join(directory.path, 'tree'))
    await using cleanup = new CleanupStack()
    const living = (await prepareEphemeral(tree, {}, cleanup)) as { directory: string }
    const killed = join(directory.path, '.#machine.tree0123456789abcdef')
    mkdirSync(join(killed, 'work/work'), { recursive: true })
    chmodSync(join(killed, 'work/work'), 0)
    writeFileSync(localLockPath(killed), 'tsnspawn 1\n')
    const foreign = join(directory.path, '.#machine.treefedcba9876543210')
    mkdirSync(foreign)
    writeFileSync(localLockPath(foreign), '')

    expect(removeStaleEphemerals(directory.path)).toEqual([killed])
    expect(existsSync(living.directory)).toBe(true)
    expect(existsSync(foreign)).toBe(true)
    expect(existsSync(killed) || existsSync(localLockPath(killed))).toBe(false)
  })

  test('stays while the process that has it lives, and is free once that is killed', async () => {
    await using directory = await temporaryDirectory()
    const path = join(directory.path, '.#machine.tree0123456789abcdef')
    mkdirSync(path)
    writeFileSync(localLockPath(path), 'tsnspawn 1\n')
    const script =
      'import fcntl,struct,sys,time; f=open(sys.argv[1],"r+"); fcntl.fcntl(f,37,struct.pack("hhqqi4x",1,0,0,0,0)); print("held",flush=True); time.sleep(60)'
    const holder = spawn('python3', ['-c', script, localLockPath(path)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    expect(removeStaleEphemerals(directory.path)).toEqual([])
    const ended = new Promise((resolve) => holder.on('exit', resolve))
    holder.kill('SIGKILL')
    await ended
    expect(removeStaleEphemerals(directory.path)).toEqual([path])
    expect(readdirSync(directory.path)).toEqual([])
  })

  test('an owner that dies before it makes anything leaves a lock file that goes away too', async () => {
    await using directory = await temporaryDirectory()
    writeFileSync(join(directory.path, '.#.#machine.tree0123456789abcdef.lck'), '')
    removeStaleEphemerals(directory.path)
    expect(readdirSync(directory.path)).toEqual([])
  })

  test('goes to the state directory, and says so, when the tree lies on a read-only file system', async () => {
    await using directory = await temporaryDirectory()
    const pool = join(directory.path, 'pool')
    const tree = makeTree(join(pool, 'tree'))
    const state = join(directory.path, 'state')
    mount('--bind', '-o', 'ro', pool, pool)
    try {
      const events: LogEvent[] = []
      const cleanup = new CleanupStack()
      const root = await prepareEphemeral(
        tree,
        { stateDirectory: state, log: (event) => events.push(event) },
        cleanup,
      )
      expect(root).toMatchObject({
        kind: 'overlay',
        directory: expect.stringContaining(`${state}/ephemeral/.#machine.tree`),
      })
      expect(events).toEqual([
        expect.objectContaining({ kind: 'notice', text: expect.stringContaining('EROFS') }),
      ])
      await cleanup.releaseAll()
      expect(readdirSync(join(state, 'ephemeral'))).toEqual([])
    } finally {
      unmount(pool)
    }
  })

  test('is a copy, with the reason, where overlays are stacked too high already', async () => {
    await using directory = await temporaryDirectory()
    const stack = [1, 2].map((level) => join(directory.path, `level${level}`))
    makeTree(join(directory.path, 'base'))
    const pool = (below: string, path: string): void => {
      for (const part of ['upper', 'work', 'merged'])
        mkdirSync(`${path}/${part}`, { recursive: true })
      mount(
        '-t',
        'overlay',
        'overlay',
        '-o',
        `lowerdir=${below},upperdir=${path}/upper,workdir=${path}/work`,
        `${path}/merged`,
      )
    }
    pool(directory.path, stack[0] as string)
    pool(join(stack[0] as string, 'merged/base'), stack[1] as string)
    try {
      const tree = join(stack[1] as string, 'merged')
      await using cleanup = new CleanupStack()
      const root = await prepareEphemeral(
        tree,
        { stateDirectory: join(directory.path, 'state') },
        cleanup,
      )
      expect(root).toMatchObject({ kind: 'copy', reason: expect.stringContaining('EINVAL') })
      expect(treeListing((root as { path: string }).path)).toBe(treeListing(tree))
    } finally {
      for (const path of stack.toReversed()) unmount(join(path, 'merged'))
    }
  })

  test.skipIf(lacks('xfs', 'loop devices'))('is an overlay on xfs', async () => {
    await using directory = await temporaryDirectory()
    using xfs = loopFileSystem('xfs', directory.path)
    const cleanup = new CleanupStack()
    const root = await prepareEphemeral(makeTree(join(xfs.path, 'tree')), {}, cleanup)
    onOverlay(root, (path) => writeFileSync(join(path, 'usr/file'), 'changed'))
    expect(readFileSync(join(xfs.path, 'tree/usr/file'), 'utf8')).toBe('below')
    await cleanup.releaseAll()
    expect(readdirSync(xfs.path)).toEqual(['tree'])
  })
})

describe.skipIf(lacks('root', 'btrfs', 'loop devices'))('a throw-away copy on btrfs', () => {
  test('is a snapshot with the subvolumes nested in it, read-only ones too', async () => {
    await using directory = await temporaryDirectory()
    using btrfs = loopFileSystem('btrfs', directory.path)
    const tree = join(btrfs.path, 'tree')
    createSubvolume(tree)
    makeTree(tree)
    mkdirSync(join(tree, 'var/lib'), { recursive: true })
    for (const nested of ['var/lib/machines', 'var/lib/machines/inner'])
      createSubvolume(join(tree, nested))
    writeFileSync(join(tree, 'var/lib/machines/inner/file'), 'nested')
    setSubvolumeReadOnly(join(tree, 'var/lib/machines/inner'), true)
    setSubvolumeReadOnly(tree, true)

    const cleanup = new CleanupStack()
    const root = await prepareEphemeral(tree, {}, cleanup)
    expect(root.kind).toBe('snapshot')
    const { path } = root as { path: string }
    expect(treeListing(path)).toBe(treeListing(tree))
    expect(isSubvolume(join(path, 'var/lib/machines/inner'))).toBe(true)
    writeFileSync(join(path, 'usr/file'), 'changed')
    setSubvolumeReadOnly(join(path, 'var/lib/machines/inner'), true)
    setSubvolumeReadOnly(join(path, 'var/lib/machines'), true)
    await cleanup.releaseAll()
    expect(readdirSync(btrfs.path)).toEqual(['tree'])
    expect(readFileSync(join(tree, 'usr/file'), 'utf8')).toBe('below')
    expect(isSubvolumeReadOnly(tree)).toBe(true)
  })

  test('is an overlay when the tree is a plain directory', async () => {
    await using directory = await temporaryDirectory()
    using btrfs = loopFileSystem('btrfs', directory.path)
    await using cleanup = new CleanupStack()
    const root = await prepareEphemeral(makeTree(join(btrfs.path, 'tree')), {}, cleanup)
    onOverlay(root, (path) => writeFileSync(join(path, 'usr/file'), 'changed'))
    expect(readFileSync(join(btrfs.path, 'tree/usr/file'), 'utf8')).toBe('below')
  })

  test('is an overlay beside the mount point when the tree is the whole file system', async () => {
    await using directory = await temporaryDirectory()
    using btrfs = loopFileSystem('btrfs', directory.path)
    makeTree(btrfs.path)
    const cleanup = new CleanupStack()
    const root = await prepareEphemeral(btrfs.path, {}, cleanup)
    expect(root).toMatchObject({
      kind: 'overlay',
      directory: expect.stringContaining(`${directory.path}/.#machine.btrfs`),
    })
    await cleanup.releaseAll()
    expect(readdirSync(btrfs.path)).toEqual(['usr'])
  })
})

test('a hidden tree says in its lock file who owns it', async () => {
  await using directory = await temporaryDirectory()
  const hidden = claimHiddenTree(directory.path, 'tree')
  expect(readFileSync(localLockPath(hidden.path), 'utf8')).toBe(`tsnspawn ${process.pid}\n`)
  hidden.release()
  expect(readdirSync(directory.path)).toEqual([])
})
