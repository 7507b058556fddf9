/** What an open file's file system is and how it is mounted. Node's `statfs` leaves the mount flags out. */
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'

const fstatfs = lazyFunction('int fstatfs(int fd, void *buf)')

/* <sys/statvfs.h> */
const ST_RDONLY = 1n

export interface FileSystemFacts {
  /** A magic number of <linux/magic.h>. */
  readonly type: number
  readonly access: 'read-only' | 'read-write'
}

/** @see fstatfs(2); the layout is that of 64-bit machines */
export function fileSystemOf(fd: number): FileSystemFacts {
  const facts = new BigUint64Array(16)
  if (fstatfs(fd, facts) < 0) fail('fstatfs')
  return {
    type: Number((facts[0] as bigint) & 0xffffffffn),
    access: ((facts[10] as bigint) & ST_RDONLY) === 0n ? 'read-write' : 'read-only',
  }
}
