/**
 * The way from the top of a tree to the directory that is being filled, every directory on it open.
 *
 * A step goes down by one name, through openat2(2), so nothing that an archive puts in the way leads out. A directory
 * gets its owner, mode and times when the way leaves it: filling it would change its times, and could not go on in one
 * that is closed by its mode. So memory does not grow with the tree.
 */
import { closeSync, constants } from 'node:fs'
import { makeDirectoryAt, setTimesOf } from '../../sys/at.ts'
import { tryOpenBelow } from '../../sys/openat2.ts'
import { statAt, type TimeOfInode } from '../../sys/statx.ts'
import { getXattr, removeXattr, setXattr } from '../../sys/xattr.ts'
import { badArchive } from './header.ts'

/** Each directory on the way is open. */
const DEPTH_MAX = 1000
const ACL_DEFAULT = 'system.posix_acl_default'
const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW

export interface OpenDirectory {
  readonly fd: number
  readonly name: string
  readonly inode: bigint
  /** What is set when the way leaves it. */
  leave: (fd: number) => void
}

/** The kernel's form of a name with one character for each byte. */
export function bytesOf(name: string): Buffer {
  return Buffer.from(`${name}\0`, 'latin1')
}

/** A directory by its name in an open one; a symlink is none. @returns the errno name on refusal */
export function openBeneath(directory: number, name: string): number | string {
  return tryOpenBelow(directory, bytesOf(name), 'beneath', asDirectory)
}

export class OpenDirectories {
  private readonly levels: OpenDirectory[]
  /** The way as an archive wrote it the last time: most entries lie beside their predecessor. */
  private written = ''
  private readonly implied: (fd: number) => void

  /** @param implied is called for directories that no entry has made, when the way leaves them */
  constructor(top: number, implied: (fd: number) => void) {
    this.levels = [opened(top, '', 'existing')]
    this.implied = implied
  }

  get current(): OpenDirectory {
    return this.levels.at(-1) as OpenDirectory
  }

  /** From the top down. */
  get all(): readonly OpenDirectory[] {
    return this.levels
  }

  get top(): OpenDirectory {
    return this.levels[0] as OpenDirectory
  }

  /**
   * Goes to the directory that holds an entry.
   *
   * @param path as the archive has it; a leading slash and dots count nothing
   * @param missing what to do where there is no such directory yet
   * @returns the entry's own name, empty for the top; undefined when the directory is missing and stays so
   * @throws NspawnError `BAD_ARCHIVE` for a path with `..`, or through something that is no directory
   */
  enter(path: string, missing: 'make' | 'stop'): string | undefined {
    const cut = path.lastIndexOf('/')
    const name = path.slice(cut + 1)
    if (cut >= 0 && name.length > 2 && path.slice(0, cut) === this.written) return name
    this.written = '\0'
    const names = componentsOf(path)
    const own = names.pop() ?? ''
    this.leaveAllBut(names)
    for (const next of names.slice(this.levels.length - 1)) {
      if (!this.descend(next, path, missing)) return undefined
    }
    this.written = cut < 0 ? '\0' : path.slice(0, cut)
    return own
  }

  /** Opens a directory in the current one, which becomes the current one. */
  push(name: string, fd: number, is: 'new' | 'existing', leave: OpenDirectory['leave']): void {
    const level = opened(fd, name, is)
    level.leave = leave
    this.levels.push(level)
    this.written = '\0'
  }

  /** Goes through a symlink in the current directory. @returns false where it leads to no directory */
  follow(name: string): boolean {
    const fd = this.throughSymlink(name)
    if (typeof fd === 'string') return false
    this.levels.push(opened(fd, name, 'existing'))
    this.written = '\0'
    return true
  }

  /** Something else in the tree as a process rooted there would find it. @returns the errno name on refusal */
  openInTree(path: string, flags: number): number | string {
    return tryOpenBelow(this.top.fd, bytesOf(path === '' ? '.' : path), 'in root', flags)
  }

  /** Leaves all directories but the top. */
  leaveAll(): void {
    this.leaveAllBut([])
    this.written = '\0'
  }

  /** Closes everything without setting anything, the top excepted. */
  abandon(): void {
    for (const { fd } of this.levels.splice(1)) closeSync(fd)
  }

  private leaveAllBut(names: readonly string[]): void {
    let common = 0
    while (common < names.length && this.levels[common + 1]?.name === names[common]) common++
    while (this.levels.length > common + 1) {
      const level = this.levels.pop() as OpenDirectory
      try {
        level.leave(level.fd)
      } finally {
        closeSync(level.fd)
      }
    }
  }

  private descend(name: string, path: string, missing: 'make' | 'stop'): boolean {
    let fd = openBeneath(this.current.fd, name)
    if (fd === 'ENOENT' && missing === 'stop') return false
    if (fd === 'ENOENT') {
      makeDirectoryAt(this.current.fd, bytesOf(name), 0o700)
      fd = openBeneath(this.current.fd, name)
      if (typeof fd === 'number') {
        this.push(name, fd, 'new', this.implied)
        return true
      }
    }
    if (fd === 'ELOOP' || fd === 'ENOTDIR') fd = this.throughSymlink(name)
    if (typeof fd === 'string') {
      throw badArchive(`it lies in something that is no directory (${fd})`, path)
    }
    this.levels.push(opened(fd, name, 'existing'))
    return true
  }

  /** Layers reach `/usr/lib` by the `/lib` of the layer below; they end up where the tree's own programs would. */
  private throughSymlink(name: string): number | string {
    const way = this.levels.slice(1).map((level) => level.name)
    const flags = constants.O_RDONLY | constants.O_DIRECTORY
    return this.openInTree([...way, name].join('/'), flags)
  }
}

/** A directory that was there keeps its times, and a default ACL that would be given on to what comes into it. */
function opened(fd: number, name: string, is: 'new' | 'existing'): OpenDirectory {
  const { inode, accessed, modified } = statAt(fd)
  if (is === 'new') return { fd, name, inode, leave: () => undefined }
  const acl = getXattr(fd, ACL_DEFAULT)
  if (acl !== undefined) removeXattr(fd, ACL_DEFAULT)
  return { fd, name, inode, leave: (open) => restore(open, acl, accessed, modified) }
}

function restore(
  fd: number,
  acl: Buffer | undefined,
  accessed: TimeOfInode,
  modified: TimeOfInode,
): void {
  if (acl !== undefined) setXattr(fd, ACL_DEFAULT, acl)
  setTimesOf(fd, accessed, modified)
}

/** The names of a path from an archive. @throws NspawnError `BAD_ARCHIVE` where it would lead upwards */
export function componentsOf(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  if (names.includes('..')) throw badArchive("its name leads upwards ('..')", path)
  if (names.length > DEPTH_MAX) {
    throw badArchive(`its name is deeper than ${DEPTH_MAX} directories`, path)
  }
  return names
}
