import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startCopyThreads } from '../../../src/images/copy-threads.ts'
import type { CopyThreads, StartCopyThreads } from '../../../src/images/copy-share.ts'
import { copyTree } from '../../../src/images/copy-tree.ts'
import { forkWithHeap } from '../../../src/sys/fork.ts'
import { exitProcess, waitForChild } from '../../../src/sys/process.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { loopFileSystem } from './loop-file-system.ts'
import { makeOddTree, treeListing } from './tree-listing.ts'

const descriptors = () => readdirSync('/proc/self/fd').length
const threads = () => readdirSync('/proc/self/task').length

/** Every directory that is met once there are threads goes to them: the copy itself waits. */
const leaveAllToThreads: StartCopyThreads = (bounds) => {
  const started = startCopyThreads(bounds)
  if (started === undefined) return undefined
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  const { share } = started
  return {
    ...started,
    share: {
      ...share,
      offer: (pair) => {
        while (!share.offer(pair)) {
          if (share.isStopped()) return false
          Atomics.wait(sleeper, 0, 0, 1)
        }
        return true
      },
      take: () => (share.isStopped() ? share.take() : undefined),
    },
  }
}

/** More files than are copied before threads start; then `count` directories, each linked to the one before. */
function makeLargeTree(directory: string, count: number): void {
  mkdirSync(join(directory, 'more'), { recursive: true })
  for (let i = 0; i < 200; i++) writeFileSync(join(directory, `${i}`), `${i}`)
  for (let i = 0; i < count; i++) {
    const deep = join(directory, `more/${i}/deep`)
    mkdirSync(deep, { recursive: true })
    for (let j = 0; j < 10; j++) writeFileSync(join(deep, `${j}`), `${i} ${j}`)
    if (i === 0) continue
    linkSync(join(directory, `more/${i - 1}/deep/1`), join(deep, 'linked'))
    linkSync(join(directory, `more/${i - 1}/deep/2`), join(directory, `more/${i}/linked`))
    execFileSync('touch', ['-d', `2001-02-03 04:05:${i % 60}.5`, deep, join(deep, '..')])
  }
}

/** Names of one inode, by the first of them. */
function linkGroups(directory: string): string[] {
  const lines = execFileSync('find', ['.', '-links', '+1', '-type', 'f', '-printf', '%i %P\n'], {
    cwd: directory,
    encoding: 'utf8',
  })
  const groups = new Map<string, string[]>()
  for (const line of lines.trim().split('\n')) {
    const [inode, name] = line.split(' ') as [string, string]
    groups.set(inode, [...(groups.get(inode) ?? []), name])
  }
  return [...groups.values()].map((names) => names.toSorted().join(' ')).toSorted()
}

describe.skipIf(
  lacks('root', 'program:setfattr', 'program:setfacl', 'program:setcap') ||
    availableParallelism() < 2,
)('copying a tree with threads', () => {
  for (const [who, start] of [
    ['together with the copy', startCopyThreads],
    ['alone', leaveAllToThreads],
  ] as const) {
    test(`what threads copy ${who} is what was there, hard links between directories too`, async () => {
      await using directory = await temporaryDirectory()
      const [source, target] = [join(directory.path, 'source'), join(directory.path, 'copy')]
      makeLargeTree(source, 60)
      for (let i = 0; i < 3; i++) makeOddTree(join(source, `more/odd-${i}`))
      const [listing, before] = [treeListing(source), [descriptors(), threads()]]
      const amount = await copyTree(source, target, { startThreads: start })
      expect([descriptors(), threads()]).toEqual(before)
      expect(treeListing(target)).toBe(listing)
      expect(linkGroups(target)).toEqual(linkGroups(source))
      const alone = await copyTree(source, join(directory.path, 'alone'))
      expect(amount).toEqual(alone)
    })
  }

  test('a whole Debian tree is the same afterwards, and threads did a part of it', async () => {
    await using directory = await temporaryDirectory()
    const tree = await debianTree()
    let byThreads = 0
    await copyTree(tree, join(directory.path, 'copy'), {
      startThreads: (bounds) => {
        const started = startCopyThreads(bounds) as CopyThreads
        const counted = () => {
          const amount = started.share.counted()
          byThreads += amount.inodes
          return amount
        }
        return { ...started, share: { ...started.share, counted } }
      },
    })
    expect(byThreads).toBeGreaterThan(0)
    expect(treeListing(join(directory.path, 'copy'))).toBe(treeListing(tree))
    expect(linkGroups(join(directory.path, 'copy'))).toEqual(linkGroups(tree))
  })

  test('threads wait when too much is left to the copy, instead of holding a whole tree', async () => {
    await using directory = await temporaryDirectory()
    const [source, target] = [join(directory.path, 'source'), join(directory.path, 'copy')]
    makeLargeTree(source, 1)
    for (let i = 0; i < 1000; i++) {
      mkdirSync(join(source, `more/full/${i}`), { recursive: true })
      writeFileSync(join(source, `more/full/${i}/one`), '')
      linkSync(join(source, `more/full/${i}/one`), join(source, `more/full/${i}/two`))
    }
    const before = descriptors()
    let seen = { open: 0, sinceMs: performance.now() }
    let isHeld = true
    let most = 0
    await copyTree(source, target, {
      startThreads: (bounds) => {
        const started = leaveAllToThreads(bounds) as CopyThreads
        // Takes nothing back until the threads do nothing any more.
        const nextPostponed = () => {
          const now = { open: descriptors(), sinceMs: performance.now() }
          if (isHeld && now.open !== seen.open) seen = now
          if (isHeld) most = Math.max(most, now.open - before)
          isHeld &&= now.sinceMs - seen.sinceMs < 1000
          return isHeld ? undefined : started.nextPostponed()
        }
        return { ...started, nextPostponed }
      },
    })
    expect(most).toBeGreaterThan(500)
    expect(most).toBeLessThan(1300)
    expect(linkGroups(target)).toEqual(linkGroups(source))
    expect(descriptors()).toBe(before)
  }, 180_000)

  test('neither other mounts nor what is left out nor the copy itself is entered', async () => {
    await using directory = await temporaryDirectory()
    const source = join(directory.path, 'source')
    makeLargeTree(source, 5)
    for (const name of ['mounted', 'left']) mkdirSync(join(source, 'more', name))
    writeFileSync(join(source, 'more/left/file'), '')
    const mounted = join(source, 'more/mounted')
    execFileSync('mount', ['--bind', join(source, 'more/0'), mounted])
    const target = join(source, 'more/copy')
    try {
      await copyTree(source, target, {
        leaveOut: join(source, 'more/left'),
        startThreads: leaveAllToThreads,
      })
    } finally {
      execFileSync('umount', [mounted])
    }
    const copied = readdirSync(join(target, 'more')).toSorted()
    expect(copied).toEqual(['0', '1', '2', '3', '4', 'left', 'mounted'])
    expect(readdirSync(join(target, 'more/mounted'))).toEqual([])
    expect(readdirSync(join(target, 'more/left'))).toEqual([])
  })

  test.skipIf(lacks('loop devices'))(
    'a disk that gets full in a thread ends the copy with the error that says so, and nothing stays open',
    async () => {
      await using directory = await temporaryDirectory()
      using small = loopFileSystem('ext4', directory.path)
      const source = join(directory.path, 'source')
      makeLargeTree(source, 20)
      writeFileSync(join(source, 'more/7/deep/large'), Buffer.alloc(100 << 20, 'x'))
      const before = [descriptors(), threads()]
      for (const startThreads of [startCopyThreads, leaveAllToThreads]) {
        const target = join(small.path, startThreads.name)
        await expect(copyTree(source, target, { startThreads })).rejects.toMatchObject({
          name: 'NspawnError',
          code: 'ENOSPC',
        })
        expect([descriptors(), threads()]).toEqual(before)
        execFileSync('rm', ['-r', target])
      }
    },
  )

  test('an ended copy says so, when its threads have ended', async () => {
    await using directory = await temporaryDirectory()
    const before = [descriptors(), threads()]
    const ending = new AbortController()
    const ended = copyTree(await debianTree(), join(directory.path, 'copy'), {
      signal: ending.signal,
      startThreads: startCopyThreads,
      progress: ({ inodes }) => inodes > 2000 && ending.abort(),
    })
    await expect(ended).rejects.toMatchObject({ code: 'CANCELED' })
    expect([descriptors(), threads()]).toEqual(before)
    const count = () =>
      Number(execFileSync('sh', ['-c', 'find "$1" | wc -l', 'sh', join(directory.path, 'copy')]))
    expect(count()).toBeLessThan(9000)
  })

  test('what threads leave to the copy can be ended too', async () => {
    await using directory = await temporaryDirectory()
    const source = join(directory.path, 'source')
    makeLargeTree(source, 2)
    const deep = join(source, 'more/linked')
    mkdirSync(deep)
    for (let i = 0; i < 3000; i++) {
      writeFileSync(join(deep, `${i}`), '')
      linkSync(join(deep, `${i}`), join(deep, `${i}-again`))
    }
    const before = [descriptors(), threads()]
    const ending = new AbortController()
    const ended = copyTree(source, join(directory.path, 'copy'), {
      signal: ending.signal,
      startThreads: leaveAllToThreads,
      progress: ({ inodes }) => inodes > 400 && ending.abort(),
    })
    await expect(ended).rejects.toMatchObject({ code: 'CANCELED' })
    expect([descriptors(), threads()]).toEqual(before)
  })

  test('a fork afterwards has all it needs', async () => {
    await using directory = await temporaryDirectory()
    makeLargeTree(join(directory.path, 'source'), 30)
    for (let i = 0; i < 2; i++) {
      await copyTree(join(directory.path, 'source'), join(directory.path, `copy-${i}`), {
        startThreads: startCopyThreads,
      })
      const pid = forkWithHeap()
      if (pid === 0) exitProcess(readFileSync(join(directory.path, 'source/7')).length + 6)
      expect(waitForChild(pid)).toMatchObject({ reason: { kind: 'exited', status: 7 } })
    }
  })
})
