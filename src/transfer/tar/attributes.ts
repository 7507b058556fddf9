/** What an entry says of its inode besides the contents: owner, mode, attributes, ACLs, times; and how it is set. */
import { fchmodSync, fchownSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { shiftAcl, shiftCapability } from '../../images/patch-uid.ts'
import { chmodAt, chownAt, setTimesAt, setTimesOf } from '../../sys/at.ts'
import { listXattrs, removeXattr, setXattr, type XattrTarget } from '../../sys/xattr.ts'
import { aclOfText } from './acl-text.ts'
import { badArchive } from './header.ts'
import { shownName } from '../../shown-name.ts'
import { bytesOf } from './open-directories.ts'
import type { TarEntry } from './reader.ts'

export const ID_MAX = 0xfffffffe
const SHIFTED_MAX = 0xffff
const ACL_ACCESS = 'system.posix_acl_access'
const ACL_DEFAULT = 'system.posix_acl_default'
const CAPABILITY = 'security.capability'
/** Revision 1, without ids; shorter ones are none. */
const CAPABILITY_MIN = 12

/**
 * Attributes by which overlayfs on the host would understand the tree as something else than it is. They neither
 * come in with an archive nor go out with one.
 */
export function isOverlayXattr(name: string): boolean {
  return name.startsWith('trusted.overlay.') || name.startsWith('user.overlay.')
}

export class AttributeSetter {
  private readonly shift: number | undefined
  private readonly warn: (text: string) => void
  private readonly warned = new Set<string>()

  /** @param shift added to all owners and groups, which must then be below 65536; undefined keeps them */
  constructor(shift: number | undefined, warn: (text: string) => void) {
    this.shift = shift
    this.warn = warn
  }

  /** @throws NspawnError `BAD_ARCHIVE` for an id that is none, or does not fit into a shifted range */
  owner(id: number, entry: TarEntry): number {
    if (id < 0 || id > ID_MAX)
      throw badArchive(`its owner ${id} is no user or group id`, entry.path)
    if (this.shift === undefined) return id
    if (id > SHIFTED_MAX) {
      throw badArchive(`its owner ${id} does not fit into a range of 65536 ids`, entry.path)
    }
    return this.shift + id
  }

  /** For directories that no entry describes: root's, open to all. */
  setImplied(fd: number): void {
    fchownSync(fd, this.shift ?? 0, this.shift ?? 0)
    fchmodSync(fd, 0o755)
  }

  /**
   * Sets everything of an open file or directory.
   *
   * @param is whether attributes may be there that the entry does not have
   */
  setOpen(fd: number, entry: TarEntry, is: 'new' | 'existing'): void {
    fchownSync(fd, this.owner(entry.uid, entry), this.owner(entry.gid, entry))
    // Before the mode: a new mode is the ACL's mask.
    if (is === 'existing') this.removeOthers(fd, entry)
    fchmodSync(fd, entry.mode)
    this.setXattrs(fd, entry)
    setTimesOf(fd, entry.accessed ?? entry.modified, entry.modified)
  }

  /** The same for what cannot be opened. */
  setAt(directory: number, name: string, entry: TarEntry): void {
    const bytes = bytesOf(name)
    chownAt(directory, bytes, this.owner(entry.uid, entry), this.owner(entry.gid, entry))
    if (entry.type !== 'symlink') chmodAt(directory, bytes, entry.mode)
    if (hasXattrs(entry)) {
      const path = Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), bytes])
      this.setXattrs(path, entry)
    }
    setTimesAt(directory, bytes, entry.accessed ?? entry.modified, entry.modified)
  }

  private removeOthers(fd: number, entry: TarEntry): void {
    for (const name of listXattrs(fd)) {
      if (entry.xattrs?.has(name) !== true && name !== 'security.selinux') removeXattr(fd, name)
    }
  }

  private setXattrs(target: XattrTarget, entry: TarEntry): void {
    if (!hasXattrs(entry)) return
    for (const [name, value] of entry.xattrs ?? []) this.setOne(target, name, value, entry)
    this.setAclText(target, ACL_ACCESS, entry.aclAccess, entry)
    if (entry.type === 'directory') this.setAclText(target, ACL_DEFAULT, entry.aclDefault, entry)
  }

  private setAclText(
    target: XattrTarget,
    name: string,
    text: string | undefined,
    entry: TarEntry,
  ): void {
    // The attribute's own bytes say it without names.
    if (text === undefined || text === '' || entry.xattrs?.has(name) === true) return
    const acl = aclOfText(text)
    if (acl !== undefined) return this.setOne(target, name, acl, entry)
    this.warnOnce(
      entry.path,
      `leaving out the ACL of ${shownName(entry.path)}, which this host cannot read`,
    )
  }

  private setOne(target: XattrTarget, latin1: string, value: Buffer, entry: TarEntry): void {
    const name = Buffer.from(latin1, 'latin1').toString()
    if (isOverlayXattr(name)) {
      return this.warnOnce(name, `leaving out attributes ${shownName(latin1)}: they are of a mount`)
    }
    try {
      setXattr(target, name, this.shifted(name, value, entry))
    } catch (error) {
      const code = error instanceof NspawnError ? error.code : undefined
      // As tar does. A file system without attributes, or a label of a policy that is not this host's.
      const tolerated =
        code === 'EOPNOTSUPP' ||
        (name === 'security.selinux' && code === 'EINVAL') ||
        (name.startsWith('user.') && entry.type !== 'file' && entry.type !== 'directory')
      if (!tolerated) throw error
      this.warnOnce(name, `leaving out attributes ${shownName(latin1)}: they cannot be set here`)
    }
  }

  private shifted(name: string, value: Buffer, entry: TarEntry): Buffer {
    if (this.shift === undefined) return value
    if (name === ACL_ACCESS || name === ACL_DEFAULT) {
      const acl = Buffer.from(value)
      shiftAcl(acl, this.shift)
      return acl
    }
    if (name !== CAPABILITY) return value
    if (value.length < CAPABILITY_MIN) throw badArchive('its capabilities are damaged', entry.path)
    return shiftCapability(value, this.shift)
  }

  private warnOnce(about: string, text: string): void {
    // An archive can have any number of names; nobody reads the hundredth.
    if (this.warned.has(about) || this.warned.size === 100) return
    this.warned.add(about)
    this.warn(text)
  }
}

function hasXattrs({ xattrs, aclAccess, aclDefault }: TarEntry): boolean {
  return xattrs !== undefined || aclAccess !== undefined || aclDefault !== undefined
}
