/** Subvolumes of btrfs, through its ioctls: the btrfs program need not be installed. */
import { closeSync, constants, fstatSync, lstatSync, openSync, statfsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import {
  nameOf,
  nameOfEntry,
  openDirectoryAt,
  readEntries,
  setTimesOf,
  tryUnlinkAt,
  withDirectory,
  type Name,
} from './at.ts'
import { failAt } from './at-error.ts'
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'
import { groupId, removeGroup, subvolumeGroupLevels } from './btrfs-quota.ts'
import { S_IFDIR, S_IFMT, sameMount, statAt } from './statx.ts'

/* <linux/magic.h>, <linux/btrfs.h>, <linux/btrfs_tree.h> */
export const BTRFS_SUPER_MAGIC = 0x9123683e
const BTRFS_FIRST_FREE_OBJECTID = 256
const BTRFS_IOC_SUBVOL_CREATE = 0x5000940en
const BTRFS_IOC_SNAP_CREATE_V2 = 0x50009417n
const BTRFS_IOC_SNAP_DESTROY = 0x5000940fn
const BTRFS_IOC_SUBVOL_GETFLAGS = 0x80089419n
const BTRFS_IOC_SUBVOL_SETFLAGS = 0x4008941an
const BTRFS_IOC_GET_SUBVOL_INFO = 0x81f8943cn
const BTRFS_IOC_INO_LOOKUP = 0xd0009412n
const BTRFS_IOC_QGROUP_LIMIT = 0x8030942bn
const BTRFS_SUBVOL_RDONLY = 2n

const ioctl = lazyFunction('int ioctl(int fd, uint64_t request, void *argument)')

const openDirectory = (path: string): number =>
  openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)

/** `struct btrfs_ioctl_vol_args`: the name follows a descriptor of 64 bits. */
function volumeArguments(name: Name, nameOffset: number): Uint8Array {
  const args = new Uint8Array(4096)
  args.set(name, nameOffset)
  return args
}

/** Whether an open file lies on btrfs. */
export function isBtrfs(fd: number): boolean {
  return statfsSync(`/proc/self/fd/${fd}`).type === BTRFS_SUPER_MAGIC
}

/** Whether the directory is the top of a btrfs subvolume. */
export function isSubvolume(path: string): boolean {
  const facts = lstatSync(path)
  return (
    facts.isDirectory() &&
    facts.ino === BTRFS_FIRST_FREE_OBJECTID &&
    statfsSync(path).type === BTRFS_SUPER_MAGIC
  )
}

/** @throws NspawnError; `ENOTTY` where the file system is not btrfs */
export function createSubvolume(path: string): void {
  const parent = openDirectory(dirname(path))
  try {
    if (ioctl(parent, BTRFS_IOC_SUBVOL_CREATE, volumeArguments(nameOf(basename(path)), 8)) < 0) {
      fail('ioctl(BTRFS_IOC_SUBVOL_CREATE)', { path, step: 'cannot create subvolume' })
    }
  } finally {
    closeSync(parent)
  }
}

/**
 * Snapshots the subvolume `source`, with the subvolumes nested in it, to `target`, which must not
 * exist and lie on the same file system. The copy is writable.
 *
 * @throws NspawnError; `EXDEV` when the target is elsewhere. What was made by then is left: the
 *   caller removes it with `destroySubvolume()`
 */
export function snapshotSubvolume(source: string, target: string): void {
  const from = openDirectory(source)
  try {
    const parent = openDirectory(dirname(target))
    try {
      snapshotInto(from, parent, nameOf(basename(target)))
    } finally {
      closeSync(parent)
    }
  } finally {
    closeSync(from)
  }
}

function snapshotInto(source: number, parent: number, name: Name): void {
  const args = volumeArguments(name, 56)
  new BigInt64Array(args.buffer)[0] = BigInt(source)
  if (ioctl(parent, BTRFS_IOC_SNAP_CREATE_V2, args) < 0)
    failAt('ioctl(BTRFS_IOC_SNAP_CREATE_V2)', parent, name)
  if (!hasNested(source)) return
  withDirectory(openDirectoryAt(parent, name), (copy) => snapshotNested(source, copy))
}

/**
 * Whether subvolumes lie in an open one. Asked from the kernel (BTRFS_IOC_GET_SUBVOL_ROOTREF), since
 * walking the tree would cost more than the snapshot.
 */
function hasNested(subvolume: number): boolean {
  const answer = new Uint8Array(4096)
  if (ioctl(subvolume, 0xd000943dn, answer) < 0) {
    // Older than 4.18, or more children than fit: the walk finds them.
    return true
  }
  return (answer[4088] as number) > 0
}

/** A snapshot shows an empty directory where a subvolume was: puts a snapshot of that in its place. */
function snapshotNested(source: number, copy: number): void {
  const top = statAt(source)
  for (const entry of readEntries(source)) {
    if (!entry.isDirectory()) continue
    const name = nameOfEntry(entry)
    withDirectory(openDirectoryAt(source, name), (child) => {
      const facts = statAt(child)
      if (!sameMount(top, facts)) return
      if (facts.inode !== BigInt(BTRFS_FIRST_FREE_OBJECTID)) {
        return withDirectory(openDirectoryAt(copy, name), (childCopy) =>
          snapshotNested(child, childCopy),
        )
      }
      const refused = tryUnlinkAt(copy, name, 'directory')
      if (refused !== undefined) failAt('rmdir', copy, name)
      snapshotInto(child, copy, name)
    })
  }
  setTimesOf(copy, top.accessed, top.modified)
}

/** Whether an open subvolume has the read-only flag. */
function readFlags(fd: number): bigint {
  const flags = new BigUint64Array(1)
  if (ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, flags) < 0) fail('ioctl(BTRFS_IOC_SUBVOL_GETFLAGS)')
  return flags[0] as bigint
}

function writeReadOnly(fd: number, readOnly: boolean): void {
  const flags = readFlags(fd)
  const wanted = readOnly ? flags | BTRFS_SUBVOL_RDONLY : flags & ~BTRFS_SUBVOL_RDONLY
  if (wanted === flags) return
  if (ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, BigUint64Array.of(wanted)) < 0)
    fail('ioctl(BTRFS_IOC_SUBVOL_SETFLAGS)')
}

function onSubvolume<T>(path: string, work: (fd: number) => T): T {
  const fd = openDirectory(path)
  try {
    return work(fd)
  } finally {
    closeSync(fd)
  }
}

export function isSubvolumeReadOnly(path: string): boolean {
  return onSubvolume(path, (fd) => (readFlags(fd) & BTRFS_SUBVOL_RDONLY) !== 0n)
}

export function setSubvolumeReadOnly(path: string, readOnly: boolean): void {
  onSubvolume(path, (fd) => writeReadOnly(fd, readOnly))
}

/** The number that a subvolume has in its file system; two are never the same one. */
export function subvolumeId(path: string): bigint {
  return onSubvolume(path, openSubvolumeId)
}

function openSubvolumeId(fd: number): bigint {
  // Asked for tree 0 and the first inode, the kernel fills in the tree that the descriptor is in.
  const lookup = new BigUint64Array(512)
  lookup[1] = BigInt(BTRFS_FIRST_FREE_OBJECTID)
  if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, lookup) < 0) fail('ioctl(BTRFS_IOC_INO_LOOKUP)')
  return lookup[0] as bigint
}

/** When the subvolume was made, in milliseconds; undefined before Linux 4.18. */
export function subvolumeCreatedMs(path: string): number | undefined {
  return onSubvolume(path, (fd) => {
    const info = new ArrayBuffer(504)
    if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, new Uint8Array(info)) < 0) return undefined
    const otime = new DataView(info, 392)
    return Number(otime.getBigUint64(0, true)) * 1000 + Math.floor(otime.getUint32(8, true) / 1e6)
  })
}

/** Whether an open directory is the top of a subvolume, on a file system known to be btrfs. */
export function isSubvolumeTop(fd: number): boolean {
  return fstatSync(fd).ino === BTRFS_FIRST_FREE_OBJECTID
}

/**
 * Deletes the subvolume `name` of an open directory, with all that is nested in it, read-only ones
 * too, and its quota groups. The kernel frees the space later.
 */
export function destroySubvolumeAt(parent: number, name: Name): void {
  const id = withDirectory(openDirectoryAt(parent, name), openSubvolumeId)
  if (!destroy(parent, name)) {
    withDirectory(openDirectoryAt(parent, name), (fd) => {
      writeReadOnly(fd, false)
      destroyNested(fd)
    })
    if (!destroy(parent, name)) failAt('ioctl(BTRFS_IOC_SNAP_DESTROY)', parent, name)
  }
  // Nobody has the number ever again.
  for (const level of subvolumeGroupLevels) removeGroup(parent, groupId(level, id))
}

/** The same by path. */
export function destroySubvolume(path: string): void {
  onSubvolume(dirname(path), (parent) => destroySubvolumeAt(parent, nameOf(basename(path))))
}

function destroy(parent: number, name: Name): boolean {
  if (ioctl(parent, BTRFS_IOC_SNAP_DESTROY, volumeArguments(name, 8)) === 0) return true
  // Nested subvolumes, or (in newer kernels) the read-only flag, stand in the way.
  if (['ENOTEMPTY', 'EPERM', 'EROFS'].includes(errnoName(lastErrno()))) return false
  return failAt('ioctl(BTRFS_IOC_SNAP_DESTROY)', parent, name)
}

function destroyNested(directory: number): void {
  const top = statAt(directory)
  // What is going away and has reached its limit could not even be changed enough for that.
  ioctl(directory, BTRFS_IOC_QGROUP_LIMIT, BigUint64Array.of(0n, 1n, ~0n, 0n, 0n, 0n))
  for (const entry of readEntries(directory)) {
    if (!entry.isDirectory()) continue
    const name = nameOfEntry(entry)
    const facts = statAt(directory, name)
    if ((facts.mode & S_IFMT) !== S_IFDIR || !sameMount(top, facts)) continue
    if (facts.inode === BigInt(BTRFS_FIRST_FREE_OBJECTID)) destroySubvolumeAt(directory, name)
    else withDirectory(openDirectoryAt(directory, name), destroyNested)
  }
}
