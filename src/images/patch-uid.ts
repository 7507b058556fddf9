/**
 * Moving a whole tree into another range of owners, for containers with users of their own on file
 * systems that cannot map ids at the mount. Runs in a forked child: synchronous, no event loop.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import {
  chmodAt,
  chownAt,
  nameOf,
  nameOfEntry,
  openDirectoryAt,
  readEntries,
  type Name,
} from '../sys/at.ts'
import { fileSystemOf } from '../sys/statfs.ts'
import { S_IFDIR, S_IFLNK, S_IFMT, sameMount, statAt, type InodeFacts } from '../sys/statx.ts'
import { getXattr, listXattrs, setXattr } from '../sys/xattr.ts'
import { ID_RANGE_LENGTH, type IdRange } from './id-range.ts'

/** The base that the top directory has while its tree is between two ranges, as with systemd-nspawn. */
const BUSY_BASE = 0xfffe0000

/** File systems of the kernel's own, whose owners are not ours to set (<linux/magic.h>). */
const apiFileSystems = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x1cd1, // devpts
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0xf97cff8c, // selinux
  0x43415d53, // smack
  0xcafe4a11, // bpf
  0x42494e4d, // binfmt_misc
  0x6165676c, // pstore
  0xde5e81e4, // efivarfs
  0x19800202, // mqueue
  0x958458f6, // hugetlbfs
])

/**
 * Moves the owners of everything in the tree at `root` into `range`, keeping their lower 16 bits, and
 * with them ACLs and file capabilities; permissions stay. API file systems and read-only mounts in the
 * tree are left alone. A tree that is in the range already is not walked; one that an earlier run left
 * half done is.
 *
 * @param range its base a multiple of 65536 (0 brings the tree back), its length 65536
 * @returns how many inodes were changed
 * @throws NspawnError `EINVAL` for another range, `EROFS` for a read-only tree
 * @see systemd-nspawn(1) --private-users-ownership=
 */
export function patchOwnership(root: string, range: IdRange): number {
  if (range.base % ID_RANGE_LENGTH !== 0 || range.length !== ID_RANGE_LENGTH) {
    throw new NspawnError('owners can be moved only into 65536 ids from a multiple of 65536 on', {
      code: 'EINVAL',
      operation: 'patch ownership',
      subject: root,
      hint: 'use --private-users-ownership=map',
    })
  }
  const fd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const facts = statAt(fd)
    if (upper(facts.uid) === range.base && upper(facts.gid) === range.base) return 0
    const { type, access } = fileSystemOf(fd)
    if (access === 'read-only') {
      throw new NspawnError(`cannot change owners in ${root}: it is read-only`, {
        code: 'EROFS',
        operation: 'patch ownership',
        subject: root,
      })
    }
    if (apiFileSystems.has(type)) return 0
    chownAt(fd, undefined, shifted(BUSY_BASE, facts.uid), shifted(BUSY_BASE, facts.gid))
    const changed = patchEntries(fd, facts, range.base)
    patchInode(fd, nameOf('.'), { ...facts, uid: shifted(BUSY_BASE, facts.uid) }, range.base)
    return changed + 1
  } finally {
    closeSync(fd)
  }
}

const upper = (id: number): number => (id & 0xffff0000) >>> 0
const shifted = (base: number, id: number): number => (base | (id & 0xffff)) >>> 0

/** Everything in an open directory, children before their parents. */
function patchEntries(directory: number, parent: InodeFacts, base: number): number {
  let changed = 0
  for (const entry of readEntries(directory)) {
    const name = nameOfEntry(entry)
    const facts = statAt(directory, name)
    if ((facts.mode & S_IFMT) === S_IFDIR) changed += patchDirectory(directory, name, parent, base)
    // A single file mounted here belongs elsewhere, often to the host.
    else if (sameMount(parent, facts) && patchInode(directory, name, facts, base)) changed++
  }
  return changed
}

function patchDirectory(directory: number, name: Name, parent: InodeFacts, base: number): number {
  const fd = openDirectoryAt(directory, name)
  try {
    const facts = statAt(fd)
    if (!sameMount(parent, facts)) {
      const { type, access } = fileSystemOf(fd)
      if (access === 'read-only' || apiFileSystems.has(type)) return 0
    }
    const changed = patchEntries(fd, facts, base)
    return patchInode(fd, nameOf('.'), facts, base) ? changed + 1 : changed
  } finally {
    closeSync(fd)
  }
}

/** Shifts owner, ACLs and capabilities of one inode; false when all of them are right already. */
function patchInode(directory: number, name: Name, facts: InodeFacts, base: number): boolean {
  const uid = shifted(base, facts.uid)
  const gid = shifted(base, facts.gid)
  const isLink = (facts.mode & S_IFMT) === S_IFLNK
  // Only inodes that can have ACLs are asked: it is as dear as the change of the owner itself.
  const path = isLink
    ? undefined
    : Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])
  const attributes = path === undefined ? [] : listXattrs(path)
  let changed = uid !== facts.uid || gid !== facts.gid
  // Changing the owner takes file capabilities away.
  const capability =
    path !== undefined && changed && attributes.includes(capabilityName)
      ? getXattr(path, capabilityName)
      : undefined
  if (changed) {
    chownAt(directory, name, uid, gid)
    if (!isLink) chmodAt(directory, name, facts.mode)
  }
  if (path === undefined) return changed
  for (const attribute of attributes) {
    if (!aclNames.has(attribute)) continue
    const acl = getXattr(path, attribute)
    if (acl === undefined || !shiftAcl(acl, base)) continue
    setXattr(path, attribute, acl)
    changed = true
  }
  if (capability !== undefined) setXattr(path, capabilityName, shiftCapability(capability, base))
  return changed
}

const aclNames = new Set(['system.posix_acl_access', 'system.posix_acl_default'])
const capabilityName = 'security.capability'

/* <linux/posix_acl_xattr.h>, <linux/posix_acl.h> */
const ACL_HEADER_LENGTH = 4
const ACL_ENTRY_LENGTH = 8
const ACL_USER = 0x02
const ACL_GROUP = 0x08

/**
 * Shifts the users and groups that an ACL names, in place.
 *
 * @param acl the value of a `system.posix_acl_…` attribute
 * @returns whether anything changed
 */
export function shiftAcl(acl: Buffer, base: number): boolean {
  let changed = false
  for (let at = ACL_HEADER_LENGTH; at + ACL_ENTRY_LENGTH <= acl.length; at += ACL_ENTRY_LENGTH) {
    const tag = acl.readUInt16LE(at)
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue
    const id = acl.readUInt32LE(at + 4)
    if (shifted(base, id) === id) continue
    acl.writeUInt32LE(shifted(base, id), at + 4)
    changed = true
  }
  return changed
}

/* <linux/capability.h> */
const VFS_CAP_REVISION_MASK = 0xff000000
const VFS_CAP_REVISION_2 = 0x02000000
const VFS_CAP_REVISION_3 = 0x03000000
const VFS_CAP_2_LENGTH = 20

/**
 * File capabilities as the root user of a range grants them: revision 3 names that user, and only so
 * do they count in its user namespace. For base 0 it is revision 2 again.
 *
 * @param capability the value of a `security.capability` attribute
 */
export function shiftCapability(capability: Buffer, base: number): Buffer {
  const magic = capability.readUInt32LE(0)
  const revision = (magic & VFS_CAP_REVISION_MASK) >>> 0
  if (revision !== VFS_CAP_REVISION_2 && revision !== VFS_CAP_REVISION_3) return capability
  const root = base === 0 ? Buffer.alloc(0) : Buffer.alloc(4)
  if (base !== 0) root.writeUInt32LE(base)
  const moved = Buffer.concat([capability.subarray(0, VFS_CAP_2_LENGTH), root])
  moved.writeUInt32LE(
    ((magic & ~VFS_CAP_REVISION_MASK) | (base === 0 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3)) >>>
      0,
    0,
  )
  return moved
}
