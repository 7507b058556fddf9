/** Inodes that Node cannot make, and what only statx(2) tells. mknod(2), mkfifo(3), statx(2) */
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const nativeMknod = lazyFunction('int mknod(const char *path, unsigned int mode, uint64_t dev)')
const statx = lazyFunction(
  'int statx(int dirfd, const char *path, int flags, unsigned int mask, _Out_ uint8_t *buf)',
)

const AT_EMPTY_PATH = 0x1000
const STATX_ATTR_MOUNT_ROOT = 0x2000
const EPERM = 1

export const S_IFSOCK = 0o140000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000

/** mknod(2): `mode` holds type and permissions. */
export function makeNode(path: string, mode: number, device = 0n): void {
  if (nativeMknod(path, mode, device) < 0) fail('mknod', { step: 'cannot make inode', path })
}

/** Like `makeNode()`; false where this kind of inode is not permitted here. */
export function tryMakeNode(path: string, mode: number, device = 0n): boolean {
  if (nativeMknod(path, mode, device) >= 0) return true
  if (lastErrno() === EPERM) return false
  return fail('mknod', { step: 'cannot make inode', path })
}

/** Whether the descriptor is the root of a mount (statx(2), STATX_ATTR_MOUNT_ROOT). */
export function isMountPoint(fd: number): boolean {
  const buffer = Buffer.alloc(256)
  if (statx(fd, '', AT_EMPTY_PATH, 0, buffer) < 0) fail('statx')
  return (buffer.readBigUInt64LE(8) & BigInt(STATX_ATTR_MOUNT_ROOT)) !== 0n
}
