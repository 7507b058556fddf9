/** Inodes that Node cannot make: devices, fifos, sockets. @see mknod(2) */
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const nativeMknod = lazyFunction('int mknod(const char *path, unsigned int mode, uint64_t dev)')

const EPERM = 1

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
