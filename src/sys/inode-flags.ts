/** Inode flags, what chattr(1) shows: immutable, append-only, written in place. */
import { closeSync, constants, openSync } from 'node:fs'
import { BTRFS_SUPER_MAGIC } from './btrfs.ts'
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'
import { fileSystemOf } from './statfs.ts'

/* <linux/fs.h>; the argument is an int in spite of the number's name */
const FS_IOC_GETFLAGS = 0x80086601n
const FS_IOC_SETFLAGS = 0x40086602n
export const FS_IMMUTABLE_FL = 0x10
export const FS_APPEND_FL = 0x20
const FS_COMPR_FL = 0x4
const FS_NOCOW_FL = 0x800000

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')

/** The flags of an open file; 0 where the file system has none. */
export function getInodeFlags(fd: number): number {
  const flags = new Int32Array(2)
  if (ioctl(fd, FS_IOC_GETFLAGS, flags) === 0) return flags[0] as number
  if (['ENOTTY', 'EOPNOTSUPP', 'EINVAL', 'ENOSYS'].includes(errnoName(lastErrno()))) return 0
  return fail('ioctl(FS_IOC_GETFLAGS)')
}

/** @throws NspawnError, `ENOTTY` or `EOPNOTSUPP` where the file system has no flags */
export function setInodeFlags(fd: number, flags: number): void {
  if (ioctl(fd, FS_IOC_SETFLAGS, Int32Array.of(flags, 0)) < 0) fail('ioctl(FS_IOC_SETFLAGS)')
}

/**
 * On btrfs, has an open file written in place, which must be empty; elsewhere all files are. It shares no blocks with
 * files that are not so too.
 *
 * @see btrfs(5), "nodatacow"
 */
export function setWrittenInPlace(fd: number): void {
  if (fileSystemOf(fd).type !== BTRFS_SUPER_MAGIC) return
  // What is compressed cannot be written in place.
  setInodeFlags(fd, (getInodeFlags(fd) & ~FS_COMPR_FL) | FS_NOCOW_FL)
}

/**
 * Has the empty file `target` written in place if `source` is, and else not, so that they can share blocks. A directory
 * hands the flag down to what will be made in it.
 */
export function matchWrittenInPlace(source: number, target: number): void {
  const [wanted, flags] = [getInodeFlags(source) & FS_NOCOW_FL, getInodeFlags(target)]
  if (wanted === (flags & FS_NOCOW_FL)) return
  if (wanted !== 0) setWrittenInPlace(target)
  else setInodeFlags(target, flags & ~FS_NOCOW_FL)
}

/**
 * Clears immutable and append-only, so that the file can be changed, renamed and removed.
 *
 * @returns whether one of them was set
 */
export function unprotectInode(fd: number): boolean {
  const flags = getInodeFlags(fd)
  if ((flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) === 0) return false
  setInodeFlags(fd, flags & ~(FS_IMMUTABLE_FL | FS_APPEND_FL))
  return true
}

/** Sets or clears the immutable flag of a directory. */
export function setImmutable(path: string, immutable: boolean): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const flags = getInodeFlags(fd)
    setInodeFlags(fd, immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL)
  } finally {
    closeSync(fd)
  }
}
