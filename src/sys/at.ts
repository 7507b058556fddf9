/**
 * Calls that name a file by an open directory and one component. Walking a tree this way holds at any
 * depth, and nobody who renames things meanwhile can lead the walk out of the tree.
 */
import { closeSync, constants, readdirSync, type Dirent } from 'node:fs'
import { lazyFunction } from './lazy-function.ts'
import { lastErrno } from './libc.ts'
import { errnoName } from './errno.ts'
import { AT_FDCWD, failAt } from './at-error.ts'
import { makeDevice } from './device-number.ts'
import type { TimeOfInode } from './statx.ts'

/* <fcntl.h>; flags that differ by architecture are asked from Node. */
const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000
const AT_REMOVEDIR = 0x200
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_EMPTY_PATH = 0x1000
const RENAME_NOREPLACE = 1

const openatCall = lazyFunction(
  'int openat(int dirfd, const void *pathname, int flags, unsigned int mode)',
)
const unlinkatCall = lazyFunction('int unlinkat(int dirfd, const void *pathname, int flags)')
const renameatCall = lazyFunction(
  'int renameat(int olddirfd, const void *oldpath, int newdirfd, const void *newpath)',
)
const mkdiratCall = lazyFunction('int mkdirat(int dirfd, const void *pathname, unsigned int mode)')
const mknodatCall = lazyFunction(
  'int mknodat(int dirfd, const void *pathname, unsigned int mode, uint64_t dev)',
)
const linkatCall = lazyFunction(
  'int linkat(int olddirfd, const void *oldpath, int newdirfd, const void *newpath, int flags)',
)
const symlinkatCall = lazyFunction(
  'int symlinkat(const void *target, int newdirfd, const void *linkpath)',
)
const readlinkatCall = lazyFunction(
  'long readlinkat(int dirfd, const void *pathname, void *buf, size_t bufsiz)',
)
const fchownatCall = lazyFunction(
  'int fchownat(int dirfd, const void *pathname, unsigned int owner, unsigned int group, int flags)',
)
const fchmodatCall = lazyFunction(
  'int fchmodat(int dirfd, const void *pathname, unsigned int mode, int flags)',
)
const utimensatCall = lazyFunction(
  'int utimensat(int dirfd, const void *pathname, const void *times, int flags)',
)

const futimens = lazyFunction('int futimens(int fd, const void *times)')
/* renameat2(2) has a number of its own on each architecture, and musl has no function for it. */
const renameat2 = lazyFunction(
  'long syscall(long number, long olddirfd, const void *oldpath, long newdirfd, const void *newpath, long flags)',
)

/** A path component as the kernel takes it: bytes with a NUL at the end. */
export type Name = Uint8Array

const itself = Buffer.from('\0')

/** The kernel's form of a name in UTF-8. */
export function nameOf(text: string): Name {
  return Buffer.from(`${text}\0`)
}

/** The kernel's form of a name as `readEntries()` gives it. */
export function nameOfEntry(entry: Dirent): Name {
  return Buffer.from(`${entry.name}\0`, 'latin1')
}

/**
 * The entries of an open directory. Their names have one character for each byte, whatever the
 * encoding, so that names that are not UTF-8 survive; `nameOfEntry()` gives the bytes back.
 */
export function readEntries(directory: number): Dirent[] {
  return readdirSync(`/proc/self/fd/${directory}`, { withFileTypes: true, encoding: 'latin1' })
}

/**
 * Opens a directory without following a symlink; close it with `closeSync`.
 *
 * @throws NspawnError; `ENOTDIR` when it is something else, a symlink included
 */
export function openDirectoryAt(directory: number, name: Name): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW | O_CLOEXEC
  const fd = openatCall(directory, name, flags, 0)
  return fd < 0 ? failAt('openat', directory, name) : fd
}

/** Opens a regular file for reading, or creates one for writing; symlinks are not followed. */
export function openFileAt(directory: number, name: Name, access: 'read' | 'create'): number {
  const flags =
    access === 'read'
      ? constants.O_RDONLY | constants.O_NONBLOCK
      : constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  const fd = openatCall(directory, name, flags | constants.O_NOFOLLOW | O_CLOEXEC, 0o600)
  return fd < 0 ? failAt('openat', directory, name) : fd
}

/**
 * Removes a name.
 *
 * @returns the errno name when the kernel refuses; undefined when it is gone (or never was there)
 */
export function tryUnlinkAt(
  directory: number,
  name: Name,
  what: 'file' | 'directory',
): string | undefined {
  if (unlinkatCall(directory, name, what === 'directory' ? AT_REMOVEDIR : 0) === 0) return undefined
  const code = errnoName(lastErrno())
  return code === 'ENOENT' ? undefined : code
}

/** Renames; an existing target is replaced by rename(2)'s rules. @returns the errno name on refusal */
export function tryRenameAt(
  fromDirectory: number,
  from: Name,
  toDirectory: number,
  to: Name,
): string | undefined {
  return renameatCall(fromDirectory, from, toDirectory, to) === 0
    ? undefined
    : errnoName(lastErrno())
}

export function makeDirectoryAt(directory: number, name: Name, mode: number): void {
  if (mkdiratCall(directory, name, mode) < 0) failAt('mkdirat', directory, name)
}

/**
 * Makes a device node, fifo or socket.
 *
 * @param mode file type and permissions (the umask applies)
 */
export function makeNodeAt(
  directory: number,
  name: Name,
  mode: number,
  major: number,
  minor: number,
): void {
  if (mknodatCall(directory, name, mode, makeDevice(major, minor)) < 0)
    failAt('mknodat', directory, name)
}

/** Gives `from` a second name. */
export function linkAt(fromDirectory: number, from: Name, directory: number, name: Name): void {
  if (linkatCall(fromDirectory, from, directory, name, 0) < 0) failAt('linkat', directory, name)
}

/** @param target NUL-terminated */
export function symlinkAt(target: Name, directory: number, name: Name): void {
  if (symlinkatCall(target, directory, name) < 0) failAt('symlinkat', directory, name)
}

const linkTarget = Buffer.alloc(4097)

/** The target of a symlink, NUL-terminated. */
export function readLinkAt(directory: number, name: Name): Name {
  const length = Number(readlinkatCall(directory, name, linkTarget, 4096))
  if (length < 0) failAt('readlinkat', directory, name)
  const target = Buffer.alloc(length + 1)
  linkTarget.copy(target, 0, 0, length)
  return target
}

/** Changes the owner of a file, of a symlink itself, or (without a name) of the open directory. */
export function chownAt(directory: number, name: Name | undefined, uid: number, gid: number): void {
  const flags = AT_SYMLINK_NOFOLLOW | (name === undefined ? AT_EMPTY_PATH : 0)
  if (fchownatCall(directory, name ?? itself, uid, gid, flags) < 0)
    failAt('fchownat', directory, name)
}

/** Sets permissions. A symlink, even one that has just come there, is refused and not followed. */
export function chmodAt(directory: number, name: Name, mode: number): void {
  const fd: number = openatCall(directory, name, O_PATH | constants.O_NOFOLLOW | O_CLOEXEC, 0)
  if (fd < 0) failAt('openat', directory, name)
  try {
    const opened = nameOf(`/proc/self/fd/${fd}`)
    if (fchmodatCall(AT_FDCWD, opened, mode & 0o7777, 0) < 0) failAt('fchmodat', directory, name)
  } finally {
    closeSync(fd)
  }
}

const times = new BigInt64Array(4)
const timesBytes = new Uint8Array(times.buffer)

/** Sets access and modification time of an entry to the nanosecond, of a symlink itself too. */
export function setTimesAt(
  directory: number,
  name: Name,
  accessed: TimeOfInode,
  modified: TimeOfInode,
): void {
  if (utimensatCall(directory, name, timesBytesOf(accessed, modified), AT_SYMLINK_NOFOLLOW) < 0) {
    failAt('utimensat', directory, name)
  }
}

/** The same for an open file or directory. */
export function setTimesOf(fd: number, accessed: TimeOfInode, modified: TimeOfInode): void {
  if (futimens(fd, timesBytesOf(accessed, modified)) < 0) failAt('futimens', fd)
}

function timesBytesOf(accessed: TimeOfInode, modified: TimeOfInode): Uint8Array {
  times[0] = accessed.seconds
  times[1] = BigInt(accessed.nanoseconds)
  times[2] = modified.seconds
  times[3] = BigInt(modified.nanoseconds)
  return timesBytes
}

const renameat2Number: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 316,
  arm64: 276,
  riscv64: 276,
  loong64: 276,
  ppc64: 357,
  s390x: 347,
  arm: 382,
  ia32: 353,
}

/**
 * Renames `from` to `to`, which must not exist: an empty directory there is not replaced either.
 *
 * @throws NspawnError, code `EEXIST` when `to` exists
 */
export function renameNew(from: string, to: string): void {
  const number = renameat2Number[process.arch]
  if (number !== undefined) {
    if (
      Number(renameat2(number, AT_FDCWD, nameOf(from), AT_FDCWD, nameOf(to), RENAME_NOREPLACE)) ===
      0
    )
      return
    if (!['ENOSYS', 'EINVAL'].includes(errnoName(lastErrno())))
      failAt('renameat2', AT_FDCWD, nameOf(to))
  }
  // Some file systems (NFS among them) cannot refuse; making the name first is the next best guard.
  if (mkdiratCall(AT_FDCWD, nameOf(to), 0o700) < 0) failAt('rename', AT_FDCWD, nameOf(to))
  const refused = tryRenameAt(AT_FDCWD, nameOf(from), AT_FDCWD, nameOf(to))
  if (refused !== undefined) failAt('rename', AT_FDCWD, nameOf(to))
}

/** Runs `work` with a directory opened and closes it afterwards, whatever happens. */
export function withDirectory<T>(fd: number, work: (fd: number) => T): T {
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
