/**
 * Trees that are being made, thrown away or removed. Each has a hidden name and a lock file beside it
 * that its owner holds locked: the kernel lets go of the lock however the owner dies, so whoever comes
 * next can tell what is left over from what is in use, and takes it away.
 */
import { fstatSync, ftruncateSync, lstatSync, readdirSync, readSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { localLockPath, tryLockFileAt } from './lock.ts'
import { mendNameChange } from './name-change.ts'
import { randomSuffix } from './random-suffix.ts'
import { removeTree, removeTreeGently } from './remove-tree.ts'

/** Hidden names begin like systemd-nspawn's, so that its rules for left-overs at boot cover ours. */
const prefix = '.#machine.'

/** Written into our lock files: systemd's are empty, and its left-overs are its own. */
const mark = 'tsnspawn '

/** In bytes; ours say a few names at most. */
const LOCK_FILE_MAX = 1 << 20

export interface HiddenTree {
  /** Nothing is there yet. */
  readonly path: string
  /** Writes down a change of names that is about to be made: who finds this tree left over ends it. */
  announce(change: string): void
  /** Lets go of the name: what is at `path` stays, since it got another name or is somebody's else. */
  release(): void
  /** Removes what is at `path`, then lets go; gently, see `removeTreeGently()`. */
  remove(): Promise<void>
  /** The same at once, for what is small. */
  removeNow(): void
}

/** The hidden path that a claim with this suffix gives. */
export function hiddenTreePath(directory: string, base: string, suffix: string): string {
  // The lock file's name is longer still, and no name has more than 255 bytes.
  let short = base
  while (Buffer.byteLength(short) > 200) short = short.slice(0, -1)
  return join(directory, `${prefix}${short}${suffix}`)
}

/**
 * Claims a fresh hidden name in `directory`.
 *
 * @param base what the tree is made of, for people who find it
 * @param use for what is to be removed a name can be had on a full disk, too; only should its owner die as well,
 *   nobody will know it for ours
 */
export function claimHiddenTree(
  directory: string,
  base: string,
  use: 'make' | 'remove' = 'make',
): HiddenTree {
  const tolerant = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch (error) {
      if (use === 'make' || !isFull(error)) throw error
      return undefined
    }
  }
  for (;;) {
    const path = hiddenTreePath(directory, base, randomSuffix())
    const lock = tolerant(() => {
      const taken = tryLockFileAt(localLockPath(path), 'exclusive')
      return taken ?? 'busy'
    })
    if (lock === 'busy') continue
    tolerant(() => lock && writeSync(lock.fd, `${mark}${process.pid}\n`))
    const release = (): void => lock?.release()
    return {
      path,
      announce: (change) => {
        // Never without the mark, even on a disk that is full.
        tolerant(() => {
          if (lock === undefined) return
          ftruncateSync(lock.fd, writeSync(lock.fd, `${mark}${process.pid}\n${change}\n`, 0))
        })
      },
      release,
      remove: async () => {
        await removeTreeGently(path)
        release()
      },
      removeNow: () => {
        removeTree(path)
        release()
      },
    }
  }
}

/**
 * Removes the hidden trees in `directory` whose owners are dead, and never those of the living.
 *
 * @param prepare what has to be done to such a tree before it can be removed
 * @returns the paths removed; one that cannot be removed is a warning, not a failure
 */
export function removeStaleHiddenTrees(
  directory: string,
  log: LogSink,
  prepare?: (path: string) => void,
): string[] {
  const removed: string[] = []
  for (const path of hiddenTreesIn(directory)) {
    try {
      if (removeIfStale(path, log, prepare)) removed.push(path)
    } catch (error) {
      if (!(error instanceof NspawnError) && (error as NodeJS.ErrnoException).code === undefined)
        throw error
      log({
        kind: 'warning',
        text: `cannot remove ${path}, left over from an earlier run: ${(error as Error).message}`,
      })
    }
  }
  return removed
}

/** Those that `removeStaleHiddenTrees()` would remove; nothing is changed. */
export function staleHiddenTrees(directory: string): string[] {
  return hiddenTreesIn(directory).filter((path) => {
    const lock = tryLockFileAt(localLockPath(path), 'exclusive')
    if (lock === undefined) return false
    try {
      return ownText(path, lock.fd) !== undefined
    } finally {
      lock.abandon()
    }
  })
}

/** All of which a lock file tells. */
function hiddenTreesIn(directory: string): string[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  return names
    .filter((name) => name.startsWith(`.#${prefix}`) && name.endsWith('.lck'))
    .map((name) => join(directory, name.slice(2, -'.lck'.length)))
}

function removeIfStale(path: string, log: LogSink, prepare?: (path: string) => void): boolean {
  const lock = tryLockFileAt(localLockPath(path), 'exclusive')
  if (lock === undefined) return false
  try {
    if (!mayRemove(path, lock.fd, log)) {
      lock.abandon()
      return false
    }
    prepare?.(path)
    removeTree(path)
  } catch (error) {
    // Whoever comes next, in this process too, may have more luck.
    lock.abandon()
    throw error
  }
  lock.release()
  return true
}

/** Whether what is left over is ours; a change of names that was announced is ended before. */
function mayRemove(path: string, fd: number, log: LogSink): boolean {
  const text = ownText(path, fd)
  if (text === undefined) return false
  const change = text.split('\n')[1] ?? ''
  // In a directory that everybody may write to, somebody else could ask for anything here.
  if (change !== '' && fstatSync(fd).uid === process.geteuid?.()) mendNameChange(change, log)
  return true
}

/** What a lock file of ours says; undefined for those of others. */
function ownText(path: string, fd: number): string | undefined {
  const { size } = fstatSync(fd)
  if (size > LOCK_FILE_MAX) return undefined
  const content = Buffer.alloc(size)
  const text = content.toString('utf8', 0, readSync(fd, content, 0, size, 0))
  // A lock file of ours without mark: its owner died before it made anything.
  const ours = text === '' ? !exists(path) : text.startsWith(mark)
  return ours ? text : undefined
}

/** libuv has no name for EDQUOT. */
function isFull(error: unknown): boolean {
  const { errno } = error as NodeJS.ErrnoException
  return errno === -constants.errno.ENOSPC || errno === -constants.errno.EDQUOT
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
