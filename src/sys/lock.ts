/**
 * Advisory locks on whole files. Open-file-description locks, as systemd takes them, so that its tools
 * and ours exclude each other; BSD locks only where the file system has no record locks.
 */
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'
import { errnoName } from './errno.ts'

/* <fcntl.h>, <sys/file.h> */
const F_OFD_SETLK = 37
const F_RDLCK = 0
const F_WRLCK = 1
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

export type LockMode = 'shared' | 'exclusive'

const fcntl = lazyFunction('int fcntl(int fd, int cmd, void *lock)')
const flock = lazyFunction('int flock(int fd, int operation)')

/** `struct flock` on 64-bit Linux: type and whence as 16 bits, then start, length and pid, all zero. */
function wholeFile(type: number): Uint8Array {
  const lock = new Uint8Array(32)
  new Uint16Array(lock.buffer)[0] = type
  return lock
}

/**
 * Takes or changes the lock on an open file, without waiting. The lock belongs to the open file
 * description: it ends when the last duplicate of `fd` is closed, in forked children too.
 *
 * @param fd open for reading for a shared lock, for writing for an exclusive one
 * @returns false when somebody else holds a conflicting lock
 * @see fcntl_locking(2), "Open file description locks"; flock(2)
 */
export function tryLockFile(fd: number, mode: LockMode): boolean {
  if (fcntl(fd, F_OFD_SETLK, wholeFile(mode === 'shared' ? F_RDLCK : F_WRLCK)) === 0) return true
  const code = errnoName(lastErrno())
  if (code === 'EAGAIN' || code === 'EACCES') return false
  if (!['EINVAL', 'ENOSYS', 'ENOLCK', 'EOPNOTSUPP'].includes(code)) fail('fcntl(F_OFD_SETLK)')
  if (flock(fd, (mode === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true
  if (errnoName(lastErrno()) === 'EAGAIN') return false
  return fail('flock')
}
