/**
 * Who may use a tree or image: the lock files that systemd's tools take too, so that neither of us
 * writes where the other one runs.
 */
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
  unlinkSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { runtimeDirectory } from '../paths.ts'
import { splitDevice } from '../sys/device-number.ts'
import { tryLockFile, type LockMode } from '../sys/lock.ts'

export type { LockMode } from '../sys/lock.ts'

/** A lock that is held; releasing twice does nothing. */
export interface ImageLock {
  readonly mode: LockMode
  release(): void
}

/** Locks by inode and by name, shared with systemd-nspawn and machined. */
const sharedLockDirectory = '/run/systemd/nspawn/locks'

/**
 * Locks the tree or image at `path`, without waiting: its inode, whatever name it is reached by, and a
 * file beside it that other hosts see on shared storage. A shared lock admits other shared ones.
 *
 * @param path a directory, image file or block device that exists
 * @param fullDisk `go-on`: those who make room need no file beside the image where there is no room for one
 * @throws NspawnError, code `EBUSY`, when somebody holds a conflicting lock; the hint says who
 */
export function lockImage(
  path: string,
  mode: LockMode,
  fullDisk: 'fail' | 'go-on' = 'fail',
): ImageLock {
  const held: LockFile[] = []
  try {
    const real = realpathSync.native(path)
    const facts = statSync(real)
    const kind = facts.isDirectory() ? 'directory tree' : 'disk image'
    const take = (file: string): void => {
      const lock = tryLockFileAt(file, mode)
      if (lock === undefined) throw busy(path, kind, mode, file)
      held.push(lock)
    }
    if (real === '/' && mode === 'exclusive') throw busy(path, kind, mode)
    if (real !== '/') {
      const dispensable = [
        ...(mode === 'shared' ? ['EROFS'] : []),
        ...(fullDisk === 'go-on' ? ['ENOSPC'] : []),
      ]
      if (!real.startsWith('/dev/')) takeLocal(localLockPath(real), dispensable, take)
      const global = globalLockName(facts)
      if (global !== undefined) inLockDirectory((directory) => take(join(directory, global)))
    }
  } catch (error) {
    for (const lock of held) lock.release()
    if (error instanceof NspawnError) throw error
    const code = (error as NodeJS.ErrnoException).code ?? 'BUG'
    throw new NspawnError(`cannot lock ${path}`, { code, operation: 'lock', cause: error })
  }
  return {
    mode,
    release: () => {
      for (let lock = held.pop(); lock !== undefined; lock = held.pop()) lock.release()
    },
  }
}

/**
 * Keeps an image from being changed or removed while it is read, until the stack is released.
 *
 * @returns whether somebody is changing it already
 */
export function holdImage(path: string, cleanup: CleanupStack): boolean {
  try {
    const lock = lockImage(path, 'shared')
    cleanup.defer(`lock of ${path}`, lock.release)
    return false
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'EBUSY') return true
    throw error
  }
}

/** The directory whose image names systemd's own tools reserve. */
const pool = '/var/lib/machines'

/**
 * Reserves an image name that is about to come into being.
 *
 * @param directory where the image will be; in two directories a name can be made at the same time
 * @throws NspawnError, code `EBUSY`, when somebody else is making an image of that name
 */
export function lockImageName(name: string, directory: string = pool): ImageLock {
  const real = realpathSync.native(directory)
  const { dev, ino } = statSync(real)
  const scope = real === pool ? '' : `${dev}:${ino}-`
  return inLockDirectory((locks) => {
    const file = join(locks, `name-${scope}${name}`)
    const lock = tryLockFileAt(file, 'exclusive')
    if (lock === undefined) throw busy(name, 'image name', 'exclusive', file)
    return lock
  })
}

const heldDescriptors = new Set<number>()

/**
 * Lets a forked child close its copies of this process's lock descriptors: a lock is held as long as anybody has one,
 * and it shall end with its owner.
 */
export function forgetLocksInChild(): void {
  for (const fd of heldDescriptors) closeSync(fd)
  heldDescriptors.clear()
}

/** The lock file beside a tree or image. */
export function localLockPath(path: string): string {
  return join(dirname(path), `.#${basename(path)}.lck`)
}

/**
 * On a read-only file system nobody can write, so a reader needs no file that says so.
 *
 * @param dispensable error codes that mean there can be no file, and need be none
 */
function takeLocal(
  file: string,
  dispensable: readonly string[],
  take: (file: string) => void,
): void {
  try {
    take(file)
  } catch (error) {
    if (!dispensable.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function globalLockName(facts: Stats): string | undefined {
  if (facts.isBlockDevice()) {
    const { major, minor } = splitDevice(facts.rdev)
    return `block-${major}:${minor}`
  }
  if (facts.isDirectory() || facts.isFile()) return `inode-${facts.dev}:${facts.ino}`
  return undefined
}

/** Runs `use` with the directory of locks that hold for the whole host, made if need be. */
function inLockDirectory<T>(use: (directory: string) => T): T {
  try {
    return use(sharedLockDirectory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EACCES' && code !== 'EROFS') throw error
    return use(makeLockDirectory())
  }
}

function makeLockDirectory(): string {
  try {
    mkdirSync(dirname(sharedLockDirectory), { recursive: true, mode: 0o755 })
    mkdirSync(sharedLockDirectory, { recursive: true, mode: 0o700 })
    accessSync(sharedLockDirectory, constants.W_OK)
    return sharedLockDirectory
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error
    // Without privileges only our own runs can be told apart.
    const own = join(runtimeDirectory(), 'locks')
    mkdirSync(own, { recursive: true, mode: 0o700 })
    return own
  }
}

/** One lock file that is held. */
export interface LockFile extends ImageLock {
  readonly fd: number
  readonly path: string
  /** Lets go, but leaves the file. */
  abandon(): void
}

/**
 * Opens or makes the lock file `path` and locks it, without waiting. On release the file is removed
 * when nobody else holds it.
 *
 * @returns undefined when somebody else holds a conflicting lock
 */
export function tryLockFileAt(path: string, mode: LockMode): LockFile | undefined {
  for (;;) {
    const fd = openSync(
      path,
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NOCTTY,
      0o600,
    )
    let keep = false
    try {
      if (!tryLockFile(fd, mode)) return undefined
      // The holder before us may have removed the file between our open and our lock.
      if (fstatSync(fd).nlink === 0) continue
      keep = true
    } finally {
      if (!keep) closeSync(fd)
    }
    let held = true
    heldDescriptors.add(fd)
    return {
      fd,
      path,
      mode,
      abandon: () => {
        if (held) closeSync(fd)
        heldDescriptors.delete(fd)
        held = false
      },
      release: () => {
        if (!held) return
        held = false
        heldDescriptors.delete(fd)
        try {
          if (tryLockFile(fd, 'exclusive')) unlinkSync(path)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        } finally {
          closeSync(fd)
        }
      },
    }
  }
}

/**
 * Whether the lock file `path` is there and locked, told without taking a lock.
 *
 * @see proc_locks(5): the sixth field is MAJOR:MINOR:INODE, the numbers of the device in hexadecimal
 */
export function isLockedByAnyone(path: string): boolean {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return false
  const { major, minor } = splitDevice(facts.dev)
  const device = [major, minor].map((part) => part.toString(16).padStart(2, '0')).join(':')
  const wanted = `${device}:${facts.ino}`
  return readFileSync('/proc/locks', 'latin1')
    .split('\n')
    .some((line) => line.split(/\s+/).includes(wanted))
}

function busy(subject: string, kind: string, wanted: LockMode, lockFile?: string): NspawnError {
  const holder = lockFile === undefined ? undefined : holderOf(lockFile)
  const advice =
    wanted === 'exclusive' && (lockFile === undefined || isShareable(lockFile))
      ? 'run a throw-away copy with --ephemeral'
      : 'wait for it to end'
  return new NspawnError(`${kind} ${subject} is busy`, {
    code: 'EBUSY',
    operation: 'lock',
    subject,
    hint: `${holder ?? 'another run'} uses it; ${advice}`,
  })
}

/** Whether those who hold the lock would share it: then readers can go on. */
function isShareable(lockFile: string): boolean {
  const lock = tryLockFileAt(lockFile, 'shared')
  lock?.release()
  return lock !== undefined
}

/**
 * The program that has the lock file open, as `NAME (pid N)`. The kernel does not tell the holder of
 * such a lock, but whoever holds it has the file open.
 */
function holderOf(lockFile: string): string | undefined {
  for (const pid of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(pid) || Number(pid) === process.pid) continue
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) !== lockFile) continue
        return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`
      }
    } catch {
      // Processes end while we look, and others' descriptors may be closed to us.
    }
  }
  return undefined
}
