import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { localLockPath, lockImage, lockImageName } from '../../../src/images/lock.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { borrowDebianTree } from './runnable-tree.ts'

const busy = expect.objectContaining({ code: 'EBUSY' })

const globalLock = (path: string): string => {
  const { dev, ino } = statSync(path)
  return `/run/systemd/nspawn/locks/inode-${dev}:${ino}`
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 1000) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe.skipIf(lacks('root'))('locks on a tree', () => {
  test('an exclusive lock admits nobody, and its files go away with it', async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'tree')
    mkdirSync(tree)
    const lock = lockImage(tree, 'exclusive')
    expect(readdirSync(directory.path)).toContain('.#tree.lck')
    expect(existsSync(globalLock(tree))).toBe(true)
    expect(() => lockImage(tree, 'exclusive')).toThrow(busy)
    expect(() => lockImage(tree, 'shared')).toThrow(
      expect.objectContaining({ code: 'EBUSY', hint: 'another run uses it; wait for it to end' }),
    )
    lock.release()
    lock.release()
    expect(readdirSync(directory.path)).toEqual(['tree'])
    expect(existsSync(globalLock(tree))).toBe(false)
    lockImage(tree, 'exclusive').release()
  })

  test('shared locks admit each other; the last one takes the files away', async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'tree')
    mkdirSync(tree)
    const first = lockImage(tree, 'shared')
    const second = lockImage(tree, 'shared')
    first.release()
    expect(() => lockImage(tree, 'exclusive')).toThrow(
      expect.objectContaining({ code: 'EBUSY', hint: expect.stringContaining('--ephemeral') }),
    )
    second.release()
    expect(readdirSync(directory.path)).toEqual(['tree'])
    expect(existsSync(globalLock(tree))).toBe(false)
  })

  test('a tree is busy by any of its names', async () => {
    await using directory = await temporaryDirectory()
    const tree = join(directory.path, 'tree')
    mkdirSync(tree)
    mkdirSync(join(directory.path, 'mounted'))
    symlinkSync('tree', join(directory.path, 'link'))
    execFileSync('mount', ['--bind', tree, join(directory.path, 'mounted')])
    const lock = lockImage(tree, 'exclusive')
    try {
      expect(() => lockImage(join(directory.path, 'link'), 'shared')).toThrow(busy)
      expect(() => lockImage(join(directory.path, 'mounted'), 'shared')).toThrow(busy)
    } finally {
      execFileSync('umount', [join(directory.path, 'mounted')])
      lock.release()
    }
    expect(readdirSync(directory.path).toSorted()).toEqual(['link', 'mounted', 'tree'])
  })

  test('a reader needs no lock file on a read-only file system; a writer is told', async () => {
    await using directory = await temporaryDirectory()
    mkdirSync(join(directory.path, 'pool/tree'), { recursive: true })
    const pool = join(directory.path, 'pool')
    execFileSync('mount', ['--bind', '-o', 'ro', pool, pool])
    try {
      lockImage(join(pool, 'tree'), 'shared').release()
      expect(() => lockImage(join(pool, 'tree'), 'exclusive')).toThrow(
        expect.objectContaining({ code: 'EROFS' }),
      )
    } finally {
      execFileSync('umount', [pool])
    }
  })

  test('what is not there cannot be locked', () => {
    expect(() => lockImage('/nowhere/tree', 'shared')).toThrow(
      expect.objectContaining({ code: 'ENOENT', message: 'cannot lock /nowhere/tree' }),
    )
  })

  test('the host itself can be read, never written', () => {
    lockImage('/', 'shared').release()
    expect(() => lockImage('/', 'exclusive')).toThrow(busy)
  })

  test('a name can be reserved once', () => {
    const lock = lockImageName('tsnspawn-test-name')
    expect(() => lockImageName('tsnspawn-test-name')).toThrow(busy)
    lock.release()
    expect(existsSync('/run/systemd/nspawn/locks/name-tsnspawn-test-name')).toBe(false)
  })
})

describe.skipIf(lacks('root', 'program:systemd-nspawn'))('locks beside systemd-nspawn', () => {
  const run = ['--quiet', '--register=no', '--keep-unit', '--pipe']

  test('each finds the tree busy while the other one runs it, and we say who does', async () => {
    await using directory = await temporaryDirectory()
    using borrowed = await borrowDebianTree(directory.path, 'tree')
    const tree = borrowed.path
    const theirs = spawn('systemd-nspawn', [...run, '-D', tree, 'sh', '-c', 'echo up; read line'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = new Promise((resolve) => theirs.on('exit', resolve))
    await new Promise((resolve) => theirs.stdout.once('data', resolve))
    try {
      expect(() => lockImage(tree, 'shared')).toThrow(
        expect.objectContaining({
          code: 'EBUSY',
          hint: expect.stringMatching(/^systemd-nspawn \(pid \d+\) uses it/),
        }),
      )
    } finally {
      theirs.stdin.end('\n')
      await ended
    }
    await until(() => !existsSync(localLockPath(tree)))
    const ours = lockImage(tree, 'exclusive')
    const refused = spawnSync('systemd-nspawn', [...run, '-D', tree, 'true'], { encoding: 'utf8' })
    ours.release()
    expect(refused.stderr).toContain('is currently busy')
    expect(refused.status).not.toBe(0)
  })
})
