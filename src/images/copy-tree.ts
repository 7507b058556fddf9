/**
 * A faithful copy of a whole tree: owners, modes, times, hard links, holes, extended attributes (ACLs
 * and file capabilities are some), device nodes and fifos. Blocks are shared where the file system can.
 */
import { closeSync, constants, fchmodSync, fchownSync, mkdirSync, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { AT_FDCWD } from '../sys/at-error.ts'
import {
  chmodAt,
  chownAt,
  linkAt,
  makeDirectoryAt,
  makeNodeAt,
  nameOf,
  nameOfEntry,
  openDirectoryAt,
  openFileAt,
  readEntries,
  readLinkAt,
  setTimesAt,
  setTimesOf,
  symlinkAt,
  tryUnlinkAt,
  type Name,
} from '../sys/at.ts'
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
import type { CopyShare, DirectoryPair } from './copy-share.ts'
import { getXattr, listXattrs, removeXattr, setXattr, type XattrTarget } from '../sys/xattr.ts'

export interface CopyOptions {
  /** Ends the copy; what was copied by then is left to the caller. */
  readonly signal?: AbortSignal | undefined
  /** Called now and then with what has been copied. */
  readonly progress?: ((copied: CopiedAmount) => void) | undefined
}

export interface TreeCopyOptions extends CopyOptions {
  /** A directory below the source whose contents do not come along. */
  readonly leaveOut?: string | undefined
  /** Called when the copy turns out to be large, for threads that take a part of it: `startCopyThreads`. */
  readonly startThreads?: StartCopyThreads | undefined
}

/** Not for a process that may fork meanwhile. @returns undefined where there are no threads to be had */
export type StartCopyThreads = (bounds: CopyBounds) => CopyThreads | undefined

export interface CopyThreads {
  readonly share: CopyShare
  /** What they have left to the copy, each one once. */
  nextPostponed(): PostponedDirectory | undefined
  /** Waits until they have ended, with what they were at done or not. @returns what went wrong there */
  end(): Promise<Error | undefined>
}

/** What all threads of a copy must know of it. */
export interface CopyBounds {
  readonly top: InodeFacts
  readonly targetTop: InodeFacts | undefined
  readonly leftOut: InodeFacts | undefined
}

/** A directory that is filled but for entries that have more names, perhaps in directories of other threads. */
export interface PostponedDirectory extends DirectoryPair {
  /** NUL-terminated. */
  readonly names: readonly Uint8Array[]
  /** Of the source. */
  readonly facts: InodeFacts
}

/** For copies between two systems that do not trust each other, or have different users. */
export interface EntryCopyOptions extends CopyOptions {
  /** What becomes of an owner's or group's id. */
  readonly owner: (id: number) => number
  /**
   * What is there already: `merge` leaves it, and goes into directories; `replace` does too, and puts everything else in
   * the place of what is there.
   */
  readonly existing: 'merge' | 'replace'
  /** `leave`: no set-id bits come along, and device nodes are refused. */
  readonly rights: 'keep' | 'leave'
  /** `users`: those that name no ids and give no rights. */
  readonly xattrs: 'all' | 'users'
}

export interface CopiedAmount {
  readonly inodes: number
  readonly bytes: number
}

/**
 * Copies the directory `source` to `target`, or into it if `target` is an empty directory. Symlinks are
 * copied, not followed. Other mounts in the source are not entered: empty directories like their tops
 * stand in their place. If `target` lies in `source`, it is left out of the copy.
 *
 * @throws NspawnError; code `CANCELED` when the signal ended it: what was copied is left to the caller
 */
export async function copyTree(
  source: string,
  target: string,
  options: TreeCopyOptions = {},
): Promise<CopiedAmount> {
  const copied = { inodes: 0, bytes: 0 }
  const { leaveOut, startThreads } = options
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
        ...freshCopy(copied, statAt(from)),
        targetTop: statAt(to),
        leftOut: leaveOut === undefined ? undefined : statAt(AT_FDCWD, nameOf(leaveOut)),
        startThreads,
      }
      await fill(copy, from, to, kept, options, source)
      copyAttributes(copy, from, to, copy.top)
    } finally {
      for (const fd of kept) closeSync(fd)
    }
  } finally {
    closeSync(from)
  }
  return copied
}

function openTop(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
}

/** Ends the threads too, should there be any, whatever happens. */
async function fill(
  copy: Copy,
  from: number,
  to: number,
  kept: Set<number>,
  options: CopyOptions,
  source: string,
): Promise<void> {
  const gather = function* (): Generator<undefined> {
    for (const pause of takeIn(copy, kept)) {
      throwIfStopped(copy)
      yield pause
    }
    throwIfStopped(copy)
  }
  try {
    await inTurns(fillAll(copy, from, to, kept), copy.copied, options, source, gather).catch(
      async (error: unknown) => {
        throw (await copy.threads?.end()) ?? error
      },
    )
    const failure = await copy.threads?.end()
    if (failure !== undefined) throw failure
    await inTurns(takeIn(copy, kept), copy.copied, options, source)
  } finally {
    closeLeft(copy)
  }
}

function throwIfStopped({ threads }: Copy): void {
  if (threads?.share.isStopped() === true) throw new Error('a thread of the copy has ended')
}

function* fillAll(copy: Copy, from: number, to: number, kept: Set<number>): Generator<Pause> {
  yield* copyDirectory(copy, from, to, kept)
  if (copy.threads === undefined) return
  const { share } = copy.threads
  for (;;) {
    const pair = share.take()
    if (pair !== undefined) {
      yield* fillPair(copy, pair, kept)
      share.finish(0, 0)
    } else if (share.isBusy()) yield 'idle'
    else return
  }
}

/** Fills and closes a pair that was left to any thread. */
function* fillPair(
  copy: Copy,
  { from, to }: DirectoryPair,
  kept: Set<number>,
): Generator<undefined> {
  let isHandedOn = false
  try {
    const facts = statAt(from)
    yield* copyDirectory(copy, from, to, kept)
    isHandedOn = finishDirectory(copy, from, to, facts)
  } finally {
    if (!isHandedOn) closePair({ from, to }, kept)
  }
}

/**
 * Fills what waits in the share of a copy, as one of its threads. Entries that have more names are left to the copy.
 *
 * @param postpone takes the descriptors over
 */
export function* fillDirectories(
  share: CopyShare,
  bounds: CopyBounds,
  postpone: (directory: PostponedDirectory) => void,
): Generator<undefined> {
  for (let pair = share.take(); pair !== undefined; pair = share.take()) {
    const copied = { inodes: 0, bytes: 0 }
    const left = { share, postpone, names: new Map() }
    yield* fillPair({ ...freshCopy(copied, bounds.top), ...bounds, left }, pair, new Set())
    share.finish(copied.inodes, copied.bytes)
  }
}

/** Takes in what threads have done, and does what they have left. */
function* takeIn(copy: Copy, kept: Set<number>): Generator<undefined> {
  if (copy.threads === undefined) return
  const { inodes, bytes } = copy.threads.share.counted()
  copy.copied.inodes += inodes
  copy.copied.bytes += bytes
  for (let next = copy.threads.nextPostponed(); next; next = copy.threads.nextPostponed()) {
    const { from, to, names, facts } = next
    try {
      for (const name of names) yield* copyOne(copy, { from, name, to, newName: name }, kept)
      copyAttributes(copy, from, to, facts)
    } finally {
      closePair(next, kept)
    }
  }
}

/** Closes what a failed copy has left. */
function closeLeft({ threads }: Copy): void {
  if (threads === undefined) return
  const none = new Set<number>()
  for (let pair = threads.share.take(); pair; pair = threads.share.take()) closePair(pair, none)
  for (let next = threads.nextPostponed(); next; next = threads.nextPostponed())
    closePair(next, none)
}

function closePair({ from, to }: DirectoryPair, kept: Set<number>): void {
  closeSync(from)
  if (!kept.has(to)) closeSync(to)
}

function freshCopy(copied: Copy['copied'], top: InodeFacts): Copy {
  return {
    copied,
    state: { clone: true, range: true },
    top,
    targetTop: undefined,
    leftOut: undefined,
    rules: faithful,
    linked: new Map(),
    startThreads: undefined,
    threads: undefined,
    left: undefined,
  }
}

/** An entry of an open directory. */
export interface EntryPlace {
  readonly directory: number
  readonly name: string
}

/**
 * Copies one entry, whatever it is, with all that is below, to a new name. Symlinks are copied, not followed, and other
 * mounts are not entered. A directory goes into one of the same name; a single file is put where there is none.
 *
 * @throws NspawnError; `EEXIST` when there is something and it is not to be replaced, `EPERM` for device nodes that are
 *   not to come along, `CANCELED`
 */
export async function copyEntry(
  from: EntryPlace,
  to: EntryPlace,
  options: EntryCopyOptions,
): Promise<CopiedAmount> {
  const copied = { inodes: 0, bytes: 0 }
  await inTurns(copyingEntry(from, to, options, copied), copied, options, from.name)
  return copied
}

function* copyingEntry(
  from: EntryPlace,
  to: EntryPlace,
  options: EntryCopyOptions,
  copied: Copy['copied'],
): Generator<undefined> {
  const name = nameOf(from.name)
  const top = statAt(from.directory, name)
  const isDirectory = (top.mode & S_IFMT) === S_IFDIR
  const kept = new Set<number>([to.directory])
  try {
    yield* copyOne(
      {
        ...freshCopy(copied, top),
        rules: {
          ...options,
          existing: options.existing === 'merge' && !isDirectory ? 'fail' : options.existing,
        },
      },
      { from: from.directory, name, to: to.directory, newName: nameOf(to.name) },
      kept,
    )
  } finally {
    kept.delete(to.directory)
    for (const fd of kept) closeSync(fd)
  }
}

/** `idle`: there is nothing to do at the moment. */
type Pause = 'idle' | undefined

/** Goes on a little at a time, so that signals, progress and `gather` have their turn. */
async function inTurns(
  work: Generator<Pause>,
  copied: CopiedAmount,
  options: CopyOptions,
  source: string,
  gather?: () => Generator<undefined>,
): Promise<void> {
  let began = performance.now()
  for (const pause of work) {
    const isDue = performance.now() - began >= 8
    if (!isDue && pause === undefined) continue
    if (isDue) options.progress?.({ ...copied })
    await new Promise((resolve) =>
      pause === 'idle' ? setTimeout(resolve, 1) : setImmediate(resolve),
    )
    if (gather !== undefined) await inTurns(gather(), copied, options, source)
    if (options.signal?.aborted) {
      throw new NspawnError(`copying ${source} was ended`, {
        code: 'CANCELED',
        operation: 'copy',
        subject: source,
      })
    }
    if (isDue) began = performance.now()
  }
}

/** What all directories of one copy share. */
interface Copy {
  readonly copied: { inodes: number; bytes: number }
  readonly state: CopyState
  readonly top: InodeFacts
  /** Undefined until the target has been made. */
  targetTop: InodeFacts | undefined
  /** A directory that is made, but not filled. */
  readonly leftOut: InodeFacts | undefined
  readonly rules: CopyRules
  /** The first copy of each inode that has more names, held by an open directory. */
  readonly linked: Map<string, { readonly directory: number; readonly name: Name }>
  /** Undefined once they have been asked for. */
  startThreads: StartCopyThreads | undefined
  threads: CopyThreads | undefined
  /** In a thread of the copy: to whom directories and entries are left. */
  readonly left: CopyLeftovers | undefined
}

interface CopyLeftovers {
  readonly share: CopyShare
  readonly postpone: (directory: PostponedDirectory) => void
  /** Entries with more names, by the descriptor of the new directory. */
  readonly names: Map<number, Uint8Array[]>
}

/** Smaller trees are copied before a thread has begun. */
const LARGE = 50

interface CopyRules {
  readonly owner: (id: number) => number
  readonly existing: 'fail' | 'merge' | 'replace'
  readonly rights: 'keep' | 'leave'
  readonly xattrs: 'all' | 'users'
}

const faithful: CopyRules = {
  owner: (id) => id,
  existing: 'fail',
  rights: 'keep',
  xattrs: 'all',
}

/** One entry on its way to a name elsewhere. */
interface Passage {
  readonly from: number
  readonly name: Name
  readonly to: number
  readonly newName: Name
}

/** Fills the open directory `to` with what is in `from`. */
function* copyDirectory(
  copy: Copy,
  from: number,
  to: number,
  kept: Set<number>,
): Generator<undefined> {
  for (const entry of readEntries(from)) {
    const name = nameOfEntry(entry)
    yield* copyOne(copy, { from, name, to, newName: name }, kept)
  }
}

function* copyOne(copy: Copy, passage: Passage, kept: Set<number>): Generator<undefined> {
  const facts = statAt(passage.from, passage.name)
  if ((facts.mode & S_IFMT) === S_IFDIR) yield* copySubdirectory(copy, passage, kept)
  else if (facts.links > 1 && leaveEntry(copy, passage)) return
  else if (facts.links > 1 && linkCopy(copy, passage, facts, kept)) return
  else if ((facts.mode & S_IFMT) === S_IFREG) yield* copyFile(copy, passage)
  else copySpecial(copy, passage, facts)
  copy.copied.inodes++
  yield undefined
}

function* copySubdirectory(
  copy: Copy,
  { from, name, to, newName }: Passage,
  kept: Set<number>,
): Generator<undefined> {
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
        yield* copyDirectory(copy, source, target, kept)
      }
      if (made) isHandedOn = finishDirectory(copy, source, target, facts)
    } finally {
      if (!isHandedOn && !kept.has(target)) closeSync(target)
    }
  } finally {
    if (!isHandedOn) closeSync(source)
  }
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
function finishDirectory(copy: Copy, from: number, to: number, facts: InodeFacts): boolean {
  const names = copy.left?.names.get(to)
  if (names === undefined) {
    copyAttributes(copy, from, to, facts)
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

/** Owner first: changing it takes file capabilities and set-id bits away, and writing would too. */
function copyAttributes(copy: Copy, from: number, to: number, facts: InodeFacts): void {
  const { rules } = copy
  const [uid, gid] = [rules.owner(facts.uid), rules.owner(facts.gid)]
  const isRootOwned = uid === 0 && gid === 0 && process.geteuid?.() === 0
  // In a directory of somebody else's a group may be handed down.
  const mayDiffer = rules !== faithful || (facts.mode & S_IFMT) === S_IFDIR
  if (!isRootOwned || mayDiffer) fchownSync(to, uid, gid)
  copyXattrs(copy, from, to)
  fchmodSync(to, permissions(copy, facts))
  setTimesOf(to, facts.accessed, facts.modified)
}

const SET_ID_BITS = 0o6000

function permissions(copy: Copy, facts: InodeFacts): number {
  const mode = facts.mode & 0o7777
  return copy.rules.rights === 'keep' ? mode : mode & ~SET_ID_BITS
}

/** Makes the new name a further one of an inode copied before; false when this is its first. */
function linkCopy(
  copy: Copy,
  { to, newName }: Passage,
  facts: InodeFacts,
  kept: Set<number>,
): boolean {
  const key = inodeKey(facts)
  const first = copy.linked.get(key)
  if (first === undefined) {
    copy.linked.set(key, { directory: to, name: newName })
    kept.add(to)
    return false
  }
  makeNew(copy, to, newName, () => linkAt(first.directory, first.name, to, newName))
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
      yield* copyContents(source, target, facts.sizeBytes, facts.blocks, copy.state)
      copyAttributes(copy, source, target, facts)
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
  copyXattrs(copy, pathBytes(from, name), pathBytes(to, newName))
  if (!isLink) chmodAt(to, newName, permissions(copy, facts))
  setTimesAt(to, newName, facts.accessed, facts.modified)
}

function copyXattrs(copy: Copy, from: XattrTarget, to: XattrTarget): void {
  for (const attribute of listXattrs(from)) {
    if (copy.rules.xattrs === 'users' && !attribute.startsWith('user.')) continue
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

function inodeKey(facts: InodeFacts): string {
  return `${facts.deviceMajor}:${facts.deviceMinor}:${facts.inode}`
}

function isSameInode(a: InodeFacts, b: InodeFacts): boolean {
  return a.inode === b.inode && a.deviceMajor === b.deviceMajor && a.deviceMinor === b.deviceMinor
}
