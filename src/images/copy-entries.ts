/** The entries of open directories, each copied to a new name: files, directories, links, nodes. */
import { closeSync } from 'node:fs'
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
  symlinkAt,
  tryUnlinkAt,
  type Name,
} from '../sys/at.ts'
import { matchWrittenInPlace } from '../sys/inode-flags.ts'
import { copyContents, type CopyState } from '../sys/reflink.ts'
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  sameMount,
  statAt,
  type InodeFacts,
} from '../sys/statx.ts'
import {
  copyAttributes,
  copyXattrs,
  faithful,
  pathBytes,
  permissions,
  type CopyRules,
} from './copy-attributes.ts'
import type { CopyShare, CopyThreads, PostponedDirectory, StartCopyThreads } from './copy-share.ts'
import type { KeptDirectories, KeptDirectory } from './kept-directories.ts'

/** What all directories of one copy share. */
export interface Copy {
  readonly copied: { inodes: number; bytes: number }
  readonly state: CopyState
  readonly top: InodeFacts
  /** Undefined until the target has been made. */
  targetTop: InodeFacts | undefined
  /** A directory that is made, but not filled. */
  readonly leftOut: InodeFacts | undefined
  readonly rules: CopyRules
  readonly inPlace: boolean
  /** Undefined in a thread of the copy, which leaves entries that have more names. */
  readonly kept: KeptDirectories | undefined
  /** The first copy of each inode that has more names. */
  readonly linked: Map<string, { readonly directory: KeptDirectory; readonly name: Name }>
  /** Undefined once they have been asked for. */
  startThreads: StartCopyThreads | undefined
  threads: CopyThreads | undefined
  /** In a thread of the copy: to whom directories and entries are left. */
  readonly left: CopyLeftovers | undefined
}

export interface CopyLeftovers {
  readonly share: CopyShare
  readonly postpone: (directory: PostponedDirectory) => void
  /** Entries with more names, by the descriptor of the new directory. */
  readonly names: Map<number, Uint8Array[]>
}

/** Smaller trees are copied before a thread has begun. */
const LARGE = 50

export function freshCopy(
  copied: Copy['copied'],
  top: InodeFacts,
  kept: KeptDirectories | undefined,
): Copy {
  return {
    copied,
    state: { clone: true, range: true },
    top,
    targetTop: undefined,
    leftOut: undefined,
    rules: faithful,
    inPlace: false,
    kept,
    linked: new Map(),
    startThreads: undefined,
    threads: undefined,
    left: undefined,
  }
}

/** One entry on its way to a name elsewhere. */
export interface Passage {
  readonly from: number
  readonly name: Name
  readonly to: number
  readonly newName: Name
}

/** Fills the open directory `to` with what is in `from`. */
export function* copyDirectory(copy: Copy, from: number, to: number): Generator<undefined> {
  for (const entry of readEntries(from)) {
    const name = nameOfEntry(entry)
    yield* copyOne(copy, { from, name, to, newName: name })
  }
}

export function* copyOne(copy: Copy, passage: Passage): Generator<undefined> {
  const facts = statAt(passage.from, passage.name)
  if ((facts.mode & S_IFMT) === S_IFDIR) yield* copySubdirectory(copy, passage)
  else if (facts.links > 1 && leaveEntry(copy, passage)) return
  else if (facts.links > 1 && linkCopy(copy, passage, facts)) return
  else if ((facts.mode & S_IFMT) === S_IFREG) yield* copyFile(copy, passage)
  else copySpecial(copy, passage, facts)
  copy.copied.inodes++
  yield undefined
}

function* copySubdirectory(copy: Copy, { from, name, to, newName }: Passage): Generator<undefined> {
  const source = openDirectoryAt(from, name)
  let isHandedOn = false
  try {
    const facts = statAt(source)
    if (copy.targetTop !== undefined && isSameInode(facts, copy.targetTop)) return
    const made = makeDirectory(copy, to, newName)
    const target = openDirectoryAt(to, newName)
    copy.targetTop ??= statAt(target)
    try {
      const isLeftOut = copy.leftOut !== undefined && isSameInode(facts, copy.leftOut)
      if (!isLeftOut && sameMount(copy.top, facts)) {
        isHandedOn = offerDirectory(copy, source, target)
        if (isHandedOn) return
        yield* copyDirectory(copy, source, target)
      }
      if (made) isHandedOn = finishDirectory(copy, source, target, facts)
    } finally {
      if (!isHandedOn) leaveDirectory(copy, target)
    }
  } finally {
    if (!isHandedOn) closeSync(source)
  }
}

/** Closes a new directory that nobody fills any more, unless a hard link in it is waited for. */
export function leaveDirectory({ kept }: Copy, fd: number): void {
  if (kept === undefined) closeSync(fd)
  else kept.leave(fd)
}

/** @returns whether any thread will fill and close it */
function offerDirectory(copy: Copy, from: number, to: number): boolean {
  if (copy.threads === undefined && copy.startThreads !== undefined) {
    if (copy.copied.inodes < LARGE) return false
    copy.threads = copy.startThreads(copy)
    copy.startThreads = undefined
  }
  const share = copy.left?.share ?? copy.threads?.share
  return share?.offer({ from, to }) === true
}

/** @returns whether it is closed by somebody else, who does the rest */
export function finishDirectory(copy: Copy, from: number, to: number, facts: InodeFacts): boolean {
  const names = copy.left?.names.get(to)
  if (names === undefined) {
    finishAttributes(copy, from, to, facts)
    return false
  }
  copy.left?.names.delete(to)
  copy.left?.postpone({ from, to, names, facts })
  return true
}

/** In a thread of a copy: leaves an entry to the copy. */
function leaveEntry({ left }: Copy, { name, to }: Passage): boolean {
  if (left === undefined) return false
  const names = left.names.get(to) ?? []
  names.push(name)
  left.names.set(to, names)
  return true
}

/** @returns whether it is new */
function makeDirectory(copy: Copy, to: number, name: Name): boolean {
  try {
    makeDirectoryAt(to, name, 0o700)
    return true
  } catch (error) {
    if (copy.rules.existing === 'fail' || !isThere(error)) throw error
    return false
  }
}

/** Makes something that is no directory. @returns undefined when what is there stays */
function makeNew<T>(copy: Copy, to: number, name: Name, make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (copy.rules.existing === 'fail' || !isThere(error)) throw error
    if (copy.rules.existing === 'merge') return undefined
    const refused = tryUnlinkAt(to, name, 'file')
    if (refused === undefined) return make()
    throw new NspawnError('cannot replace what is there', {
      code: refused,
      operation: 'unlinkat',
      subject: name.subarray(0, -1).toString(),
      cause: error,
    })
  }
}

function isThere(error: unknown): boolean {
  return error instanceof NspawnError && error.code === 'EEXIST'
}

/** Makes the new name a further one of an inode copied before; false when this is its first. */
function linkCopy(copy: Copy, { to, newName }: Passage, facts: InodeFacts): boolean {
  const key = inodeKey(facts)
  const first = copy.linked.get(key)
  if (first === undefined) {
    copy.linked.set(key, { directory: copy.kept!.keep(to), name: newName })
    return false
  }
  const directory = copy.kept!.enter(first.directory)
  makeNew(copy, to, newName, () => linkAt(directory, first.name, to, newName))
  return true
}

function* copyFile(copy: Copy, { from, name, to, newName }: Passage): Generator<undefined> {
  const source = openFileAt(from, name, 'read')
  try {
    const facts = statAt(source)
    if ((facts.mode & S_IFMT) !== S_IFREG) {
      throw new NspawnError('a file was replaced while it was being copied', {
        code: 'EAGAIN',
        operation: 'copy',
        subject: name.subarray(0, -1).toString(),
      })
    }
    const target = makeNew(copy, to, newName, () => openFileAt(to, newName, 'create'))
    if (target === undefined) {
      copy.linked.delete(inodeKey(facts))
      return
    }
    try {
      if (copy.inPlace) matchWrittenInPlace(source, target)
      yield* copyContents(source, target, facts.sizeBytes, facts.blocks, copy.state)
      copyAttributes(copy.rules, source, target, facts)
      copy.copied.bytes += facts.sizeBytes
    } finally {
      closeSync(target)
    }
  } finally {
    closeSync(source)
  }
}

/** Copies a symlink, device node, fifo or socket. */
function copySpecial(copy: Copy, passage: Passage, facts: InodeFacts): void {
  const { from, name, to, newName } = passage
  const { rules } = copy
  const type = facts.mode & S_IFMT
  if (rules.rights === 'leave' && (type === S_IFCHR || type === S_IFBLK)) {
    throw new NspawnError('device nodes are not copied out of a machine', {
      code: 'EPERM',
      operation: 'mknod',
      subject: name.subarray(0, -1).toString(),
    })
  }
  const isLink = type === S_IFLNK
  const made = makeNew(copy, to, newName, () => {
    if (isLink) symlinkAt(readLinkAt(from, name), to, newName)
    else makeNodeAt(to, newName, type | 0o600, facts.specialMajor, facts.specialMinor)
    return true
  })
  if (made === undefined) {
    copy.linked.delete(inodeKey(facts))
    return
  }
  chownAt(to, newName, rules.owner(facts.uid), rules.owner(facts.gid))
  copyXattrs(rules, pathBytes(from, name), pathBytes(to, newName))
  if (!isLink) chmodAt(to, newName, permissions(rules, facts))
  setTimesAt(to, newName, facts.accessed, facts.modified)
}

function inodeKey(facts: InodeFacts): string {
  return `${facts.deviceMajor}:${facts.deviceMinor}:${facts.inode}`
}

function isSameInode(a: InodeFacts, b: InodeFacts): boolean {
  return a.inode === b.inode && a.deviceMajor === b.deviceMajor && a.deviceMinor === b.deviceMinor
}

/** What a directory has beside what is in it. What is made in one that is marked gets the mark, so it comes last. */
export function finishAttributes(
  { rules, inPlace }: Copy,
  from: number,
  to: number,
  facts: InodeFacts,
): void {
  if (inPlace) matchWrittenInPlace(from, to)
  copyAttributes(rules, from, to, facts)
}
