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
const BTRFS_QGROUP_RELATION_KEY = 246
const BTRFS_QGROUP_LIMIT_MAX_RFER = 1n
const BTRFS_QGROUP_LIMIT_MAX_EXCL = 2n
const UNLIMITED = 0xffffffffffffffffn

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')

/**
 * The levels at which systemd names groups after a subvolume: for itself, for it with what is nested in it, and for all
 * images that lie in it.
 */
export const groupLevel = { leaf: 0, subtree: 254, pool: 255 } as const
export const subvolumeGroupLevels: readonly number[] = Object.values(groupLevel)

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
  const found = searchQuotaTree(fd, type, group, 1)
  if (found === undefined || found.count === 0) return undefined
  const lengthBytes = new Uint32Array(found.items, 28, 1)[0]!
  return new BigUint64Array(found.items.slice(ITEM_HEADER, ITEM_HEADER + lengthBytes))
}

/** The groups that a group holds, or as many of them as fit an answer. */
function membersOf(fd: number, group: bigint): bigint[] {
  const found = searchQuotaTree(fd, BTRFS_QGROUP_RELATION_KEY, group, 100)
  // These items have no contents: who is related to it stands in their keys, those that hold it too.
  return Array.from(
    { length: found?.count ?? 0 },
    (_, index) => new BigUint64Array(found!.items, index * ITEM_HEADER + 16, 1)[0]!,
  ).filter((other) => other < group)
}

/** In an answer, each item stands behind so many bytes about it. */
const ITEM_HEADER = 32

/** @returns items one behind the other; undefined where there is no quota tree, no right to ask, or no btrfs */
function searchQuotaTree(
  fd: number,
  type: number,
  group: bigint,
  most: number,
): { count: number; items: ArrayBuffer } | undefined {
  const search = new ArrayBuffer(4096)
  const key = new BigUint64Array(search, 0, 7)
  key.set([BTRFS_QUOTA_TREE_OBJECTID, group, group, 0n, UNLIMITED, 0n, UNLIMITED])
  if (type !== BTRFS_QGROUP_RELATION_KEY) key.set([0n, 0n, group, group], 1)
  new Uint32Array(search, 56, 3).set([type, type, most])
  if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, new Uint8Array(search)) < 0) {
    const code = errnoName(lastErrno())
    if (['ENOENT', 'EPERM', 'ENOTTY'].includes(code)) return undefined
    return fail('ioctl(BTRFS_IOC_TREE_SEARCH)')
  }
  // The items follow the search key of 104 bytes.
  return { count: new Uint32Array(search, 64, 1)[0]!, items: search.slice(104) }
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
 * Removes a group, and lets go of those that it holds. It is no failure when there is none, quota is off, or the kernel
 * keeps it: newer ones keep that of a subvolume until all of its space is free, and then remove it themselves.
 *
 * @param fd any open directory of the file system
 */
export function removeGroup(fd: number, group: bigint): void {
  for (const member of membersOf(fd, group))
    ioctl(fd, BTRFS_IOC_QGROUP_ASSIGN, BigUint64Array.of(0n, member, group))
  if (ioctl(fd, BTRFS_IOC_QGROUP_CREATE, BigUint64Array.of(0n, group)) === 0) return
  const code = errnoName(lastErrno())
  if (!['ENOENT', 'ENOTCONN', 'EBUSY', 'EINVAL', 'EPERM'].includes(code))
    fail('ioctl(BTRFS_IOC_QGROUP_CREATE)')
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
