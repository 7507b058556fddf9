/**
 * A faithful copy of a whole tree: owners, modes, times, hard links, holes, extended attributes (ACLs
 * and file capabilities are some), device nodes and fifos. Blocks are shared where the file system can.
 */
import { closeSync, constants, fchmodSync, fchownSync, mkdirSync, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import {
  chmodAt,
  chownAt,
  linkAt,
  makeDirectoryAt,
  makeNodeAt,
  nameOfEntry,
  openDirectoryAt,
  openFileAt,
  readEntries,
  readLinkAt,
  setTimesAt,
  setTimesOf,
  symlinkAt,
  type Name,
} from '../sys/at.ts'
import { copyContents, type CopyState } from '../sys/reflink.ts'
import {
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  sameMount,
  statAt,
  type InodeFacts,
} from '../sys/statx.ts'
import { getXattr, listXattrs, removeXattr, setXattr, type XattrTarget } from '../sys/xattr.ts'

export interface CopyOptions {
  /** Ends the copy; what was copied by then is left to the caller. */
  readonly signal?: AbortSignal | undefined
  /** Called now and then with what has been copied. */
  readonly progress?: ((copied: CopiedAmount) => void) | undefined
}

export interface CopiedAmount {
  readonly inodes: number
  readonly bytes: number
}

/**
 * Copies the directory `source` to `target`, or into it if `target` is an empty directory. Symlinks are
 * copied, not followed. Other mounts in the source are not entered: empty directories stand in their
 * place. If `target` lies in `source`, it is left out of the copy.
 *
 * @throws NspawnError; code `CANCELED` when the signal ended it: what was copied is left to the caller
 */
export async function copyTree(
  source: string,
  target: string,
  options: CopyOptions = {},
): Promise<CopiedAmount> {
  const copied = { inodes: 0, bytes: 0 }
  let began = performance.now()
  for (const _ of copying(source, target, copied)) {
    if (performance.now() - began < 8) continue
    options.progress?.({ ...copied })
    await new Promise((resolve) => setImmediate(resolve))
    if (options.signal?.aborted) {
      throw new NspawnError(`copying ${source} was ended`, {
        code: 'CANCELED',
        operation: 'copy',
        subject: target,
      })
    }
    began = performance.now()
  }
  return copied
}

/** What all directories of one copy share. */
interface Copy {
  readonly copied: { inodes: number; bytes: number }
  readonly state: CopyState
  readonly top: InodeFacts
  readonly targetTop: InodeFacts
  /** The first copy of each inode that has more names, held by an open directory. */
  readonly linked: Map<string, { readonly directory: number; readonly name: Name }>
}

function* copying(source: string, target: string, copied: Copy['copied']): Generator<undefined> {
  const openTop = (path: string): number =>
    openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  const from = openTop(source)
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 })
    const to = openTop(target)
    // Directories that hold the first name of a hard link stay open until the end.
    const kept = new Set<number>([to])
    try {
      // Neither the group nor the default ACL of the directory around may be handed down to what is made here.
      fchmodSync(to, 0o700)
      for (const acl of ['system.posix_acl_default', 'system.posix_acl_access'])
        removeXattr(to, acl)
      const copy: Copy = {
        copied,
        state: { clone: true, range: true },
        top: statAt(from),
        targetTop: statAt(to),
        linked: new Map(),
      }
      yield* copyDirectory(copy, from, to, copy.top, kept)
    } finally {
      for (const fd of kept) closeSync(fd)
    }
  } finally {
    closeSync(from)
  }
}

/** Fills the open directory `to` with what is in `from`, then gives it the attributes of `from`. */
function* copyDirectory(
  copy: Copy,
  from: number,
  to: number,
  facts: InodeFacts,
  kept: Set<number>,
): Generator<undefined> {
  for (const entry of readEntries(from)) {
    const name = nameOfEntry(entry)
    const child = statAt(from, name)
    if ((child.mode & S_IFMT) === S_IFDIR) yield* copySubdirectory(copy, from, to, name, kept)
    else if (child.links > 1 && linkCopy(copy, to, name, child, kept)) continue
    else if ((child.mode & S_IFMT) === S_IFREG) yield* copyFile(copy, from, to, name)
    else copySpecial(from, to, name, child)
    copy.copied.inodes++
    yield undefined
  }
  copyXattrs(from, to)
  fchownSync(to, facts.uid, facts.gid)
  fchmodSync(to, facts.mode & 0o7777)
  setTimesOf(to, facts.accessed, facts.modified)
}

function* copySubdirectory(
  copy: Copy,
  from: number,
  to: number,
  name: Name,
  kept: Set<number>,
): Generator<undefined> {
  const source = openDirectoryAt(from, name)
  try {
    const facts = statAt(source)
    if (isSameInode(facts, copy.targetTop)) return
    makeDirectoryAt(to, name, 0o700)
    const target = openDirectoryAt(to, name)
    try {
      if (sameMount(copy.top, facts)) yield* copyDirectory(copy, source, target, facts, kept)
    } finally {
      if (!kept.has(target)) closeSync(target)
    }
  } finally {
    closeSync(source)
  }
}

/** Makes `name` a further name of an inode copied before; false when this is its first. */
function linkCopy(
  copy: Copy,
  to: number,
  name: Name,
  facts: InodeFacts,
  kept: Set<number>,
): boolean {
  const key = `${facts.deviceMajor}:${facts.deviceMinor}:${facts.inode}`
  const first = copy.linked.get(key)
  if (first === undefined) {
    copy.linked.set(key, { directory: to, name })
    kept.add(to)
    return false
  }
  linkAt(first.directory, first.name, to, name)
  return true
}

function* copyFile(copy: Copy, from: number, to: number, name: Name): Generator<undefined> {
  const source = openFileAt(from, name, 'read')
  try {
    const facts = statAt(source)
    const target = openFileAt(to, name, 'create')
    try {
      yield* copyContents(source, target, facts.sizeBytes, facts.blocks, copy.state)
      // Owner first: changing it takes file capabilities away, and writing would too.
      if (facts.uid !== 0 || facts.gid !== 0 || process.geteuid?.() !== 0)
        fchownSync(target, facts.uid, facts.gid)
      copyXattrs(source, target)
      fchmodSync(target, facts.mode & 0o7777)
      setTimesOf(target, facts.accessed, facts.modified)
      copy.copied.bytes += facts.sizeBytes
    } finally {
      closeSync(target)
    }
  } finally {
    closeSync(source)
  }
}

/** Copies a symlink, device node, fifo or socket. */
function copySpecial(from: number, to: number, name: Name, facts: InodeFacts): void {
  const isLink = (facts.mode & S_IFMT) === S_IFLNK
  if (isLink) symlinkAt(readLinkAt(from, name), to, name)
  else makeNodeAt(to, name, (facts.mode & S_IFMT) | 0o600, facts.specialMajor, facts.specialMinor)
  chownAt(to, name, facts.uid, facts.gid)
  copyXattrs(pathBytes(from, name), pathBytes(to, name))
  if (!isLink) chmodAt(to, name, facts.mode)
  setTimesAt(to, name, facts.accessed, facts.modified)
}

function copyXattrs(from: XattrTarget, to: XattrTarget): void {
  for (const attribute of listXattrs(from)) {
    const value = getXattr(from, attribute)
    if (value === undefined) continue
    try {
      setXattr(to, attribute, value)
    } catch (error) {
      // Labels belong to the host, and user attributes carry no rights: a file system without them will do.
      const dispensable = attribute.startsWith('user.') || attribute === 'security.selinux'
      if (!dispensable || !(error instanceof NspawnError) || error.code !== 'EOPNOTSUPP')
        throw error
    }
  }
}

function pathBytes(directory: number, name: Name): Uint8Array {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])
}

function isSameInode(a: InodeFacts, b: InodeFacts): boolean {
  return a.inode === b.inode && a.deviceMajor === b.deviceMajor && a.deviceMinor === b.deviceMinor
}
