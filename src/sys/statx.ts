/**
 * Facts about one inode relative to an open directory. Node's `lstat` takes whole paths only, which
 * is unsafe in trees that others write to, and knows neither mount ids nor inode attributes.
 */
import { lazyFunction } from './lazy-function.ts'
import { failAt } from './at-error.ts'

/* <linux/stat.h>, <linux/fcntl.h> */
const STATX_BASIC_STATS = 0x7ff
const STATX_BTIME = 0x800
const STATX_MNT_ID = 0x1000
const AT_SYMLINK_NOFOLLOW = 0x100
const AT_NO_AUTOMOUNT = 0x800
const AT_EMPTY_PATH = 0x1000

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFIFO = 0o010000
export const S_IFCHR = 0o020000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000
export const STATX_ATTR_IMMUTABLE = 0x10n
export const STATX_ATTR_MOUNT_ROOT = 0x2000n

const statxCall = lazyFunction(
  'int statx(int dirfd, const void *pathname, int flags, unsigned int mask, void *statxbuf)',
)

export interface TimeOfInode {
  readonly seconds: bigint
  readonly nanoseconds: number
}

export interface InodeFacts {
  /** File type and permissions, as `st_mode`. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  readonly inode: bigint
  readonly sizeBytes: number
  /** Space on disk, in units of 512 bytes. */
  readonly blocks: number
  readonly deviceMajor: number
  readonly deviceMinor: number
  readonly specialMajor: number
  readonly specialMinor: number
  /** Undefined before Linux 5.8. */
  readonly mountId: bigint | undefined
  /** `STATX_ATTR_…` bits. */
  readonly attributes: bigint
  readonly accessed: TimeOfInode
  readonly modified: TimeOfInode
  /** Time of birth; undefined where the file system keeps none. */
  readonly created: TimeOfInode | undefined
}

const buffer = new ArrayBuffer(256)
const u16 = new Uint16Array(buffer)
const u32 = new Uint32Array(buffer)
const u64 = new BigUint64Array(buffer)
const i64 = new BigInt64Array(buffer)
const bytes = new Uint8Array(buffer)
const nothing = Buffer.from('\0')

const time = (at: number): TimeOfInode => ({
  seconds: i64[at / 8] as bigint,
  nanoseconds: u32[at / 4 + 2] as number,
})

/**
 * The inode `name` in the directory `directory`; symlinks are not followed.
 *
 * @param name NUL-terminated bytes of one path component; undefined means the directory itself
 * @throws NspawnError with the errno name as code
 * @see statx(2)
 */
export function statAt(directory: number, name?: Uint8Array): InodeFacts {
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name === undefined ? AT_EMPTY_PATH : 0)
  const mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID
  if (statxCall(directory, name ?? nothing, flags, mask, bytes) < 0)
    failAt('statx', directory, name)
  const known = u32[0] as number
  return {
    attributes: u64[1] as bigint,
    links: u32[4] as number,
    uid: u32[5] as number,
    gid: u32[6] as number,
    mode: u16[14] as number,
    inode: u64[4] as bigint,
    sizeBytes: Number(u64[5]),
    blocks: Number(u64[6]),
    accessed: time(64),
    modified: time(112),
    created: known & STATX_BTIME ? time(80) : undefined,
    specialMajor: u32[32] as number,
    specialMinor: u32[33] as number,
    deviceMajor: u32[34] as number,
    deviceMinor: u32[35] as number,
    mountId: known & STATX_MNT_ID ? u64[18] : undefined,
  }
}

/** Whether two names are of one inode. */
export function sameInode(a: InodeFacts, b: InodeFacts): boolean {
  return a.inode === b.inode && a.deviceMajor === b.deviceMajor && a.deviceMinor === b.deviceMinor
}

/** Whether two inodes are reached through the same mount. A btrfs subvolume is no mount of its own. */
export function sameMount(a: InodeFacts, b: InodeFacts): boolean {
  if (a.mountId !== undefined && b.mountId !== undefined) return a.mountId === b.mountId
  return a.deviceMajor === b.deviceMajor && a.deviceMinor === b.deviceMinor
}
