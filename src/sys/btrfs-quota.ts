/**
 * Quota groups of btrfs. A group is named by a number: its level in the upper 16 bits, below them that of
 * a subvolume; level 0 is the subvolume itself, and higher groups hold lower ones.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'
import { errnoName } from './errno.ts'

/* <linux/btrfs.h>, <linux/btrfs_tree.h> */
const BTRFS_IOC_TREE_SEARCH = 0xd0009411n
const BTRFS_IOC_QGROUP_ASSIGN = 0x40189429n
const BTRFS_IOC_QGROUP_CREATE = 0x4010942an
const BTRFS_IOC_QGROUP_LIMIT = 0x8030942bn
const BTRFS_IOC_QUOTA_RESCAN = 0x4040942cn
const BTRFS_QUOTA_TREE_OBJECTID = 8n
const BTRFS_QGROUP_INFO_KEY = 242
const BTRFS_QGROUP_LIMIT_KEY = 244
const BTRFS_QGROUP_LIMIT_MAX_RFER = 1n
const BTRFS_QGROUP_LIMIT_MAX_EXCL = 2n
const UNLIMITED = 0xffffffffffffffffn

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')

export interface GroupFacts {
  /** Bytes of everything that can be reached in the group. */
  readonly usageBytes: number
  /** Bytes that nothing outside the group shares. */
  readonly exclusiveBytes: number
  /** Undefined: no limit. */
  readonly limitBytes: number | undefined
  readonly exclusiveLimitBytes: number | undefined
}

/** The number of the group of a level and a subvolume. */
export function groupId(level: number, subvolume: bigint): bigint {
  return (BigInt(level) << 48n) | subvolume
}

/**
 * What the kernel has counted of a group. Without privileges nobody may ask.
 *
 * @param path anything on the file system
 * @returns undefined when there is no such group, or quota is off
 */
export function groupFacts(path: string, group: bigint): GroupFacts | undefined {
  return onFileSystem(path, (fd) => {
    const info = findItem(fd, BTRFS_QGROUP_INFO_KEY, group)
    if (info === undefined) return undefined
    const limit = findItem(fd, BTRFS_QGROUP_LIMIT_KEY, group)
    const flags = limit?.[0] ?? 0n
    const limited = (flag: bigint, value: bigint | undefined): number | undefined =>
      (flags & flag) === 0n || value === undefined || value === UNLIMITED
        ? undefined
        : Number(value)
    return {
      usageBytes: Number(info[1]),
      exclusiveBytes: Number(info[3]),
      limitBytes: limited(BTRFS_QGROUP_LIMIT_MAX_RFER, limit?.[1]),
      exclusiveLimitBytes: limited(BTRFS_QGROUP_LIMIT_MAX_EXCL, limit?.[2]),
    }
  })
}

/** The 64-bit numbers of an item of the quota tree; undefined when it has none such. */
function findItem(fd: number, type: number, group: bigint): BigUint64Array | undefined {
  const search = new ArrayBuffer(4096)
  const key = new BigUint64Array(search, 0, 7)
  key.set([BTRFS_QUOTA_TREE_OBJECTID, 0n, 0n, group, group, 0n, UNLIMITED])
  new Uint32Array(search, 56, 3).set([type, type, 1])
  if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, new Uint8Array(search)) < 0) {
    const code = errnoName(lastErrno())
    // No quota tree, no right to ask, no btrfs.
    if (['ENOENT', 'EPERM', 'ENOTTY'].includes(code)) return undefined
    return fail('ioctl(BTRFS_IOC_TREE_SEARCH)')
  }
  if (new Uint32Array(search, 64, 1)[0] === 0) return undefined
  // The items follow the search key of 104 bytes, each behind a header of 32.
  const lengthBytes = new Uint32Array(search, 104 + 28, 1)[0]!
  return new BigUint64Array(search.slice(136, 136 + lengthBytes))
}

/**
 * Limits what can be reached in a group.
 *
 * @param limitBytes undefined lifts the limit
 * @throws NspawnError, `ENOTCONN` while quota is off, `ENOENT` when there is no such group
 */
export function limitGroup(path: string, group: bigint, limitBytes: number | undefined): void {
  onFileSystem(path, (fd) => {
    const limit = limitBytes === undefined ? UNLIMITED : BigInt(limitBytes)
    const args = BigUint64Array.of(group, BTRFS_QGROUP_LIMIT_MAX_RFER, limit, 0n, 0n, 0n)
    if (ioctl(fd, BTRFS_IOC_QGROUP_LIMIT, args) < 0) fail('ioctl(BTRFS_IOC_QGROUP_LIMIT)', { path })
  })
}

/** Makes a group; one that is there already is no failure. */
export function createGroup(path: string, group: bigint): void {
  onFileSystem(path, (fd) => {
    if (ioctl(fd, BTRFS_IOC_QGROUP_CREATE, BigUint64Array.of(1n, group)) === 0) return
    if (errnoName(lastErrno()) !== 'EEXIST') fail('ioctl(BTRFS_IOC_QGROUP_CREATE)', { path })
  })
}

/**
 * Lets a group hold another one of a lower level, and has the kernel count again where it must.
 */
export function putIntoGroup(path: string, member: bigint, group: bigint): void {
  onFileSystem(path, (fd) => {
    const answer = ioctl(fd, BTRFS_IOC_QGROUP_ASSIGN, BigUint64Array.of(1n, member, group))
    if (answer < 0) {
      if (errnoName(lastErrno()) === 'EEXIST') return
      fail('ioctl(BTRFS_IOC_QGROUP_ASSIGN)', { path })
    }
    if (answer === 0) return
    if (ioctl(fd, BTRFS_IOC_QUOTA_RESCAN, new Uint8Array(64)) === 0) return
    // Somebody else's is under way and counts this too.
    if (errnoName(lastErrno()) !== 'EINPROGRESS') fail('ioctl(BTRFS_IOC_QUOTA_RESCAN)', { path })
  })
}

function onFileSystem<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}
