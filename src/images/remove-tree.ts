/**
 * Removing a tree that anything may have been done to: any depth, odd names, immutable files,
 * subvolumes, directories without permissions. `fs.rm` gives up on most of these and is slow.
 */
import { closeSync, openSync, constants, readFileSync, realpathSync, statfsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import {
  chmodAt,
  nameOf,
  nameOfEntry,
  openDirectoryAt,
  openFileAt,
  readEntries,
  tryRenameAt,
  tryUnlinkAt,
  withDirectory,
  type Name,
} from '../sys/at.ts'
import { pathAt } from '../sys/at-error.ts'
import { BTRFS_SUPER_MAGIC, destroySubvolumeAt, isSubvolumeTop } from '../sys/btrfs.ts'
import { unprotectInode } from '../sys/inode-flags.ts'
import { S_IFDIR, S_IFMT, S_IFREG, sameMount, statAt, type InodeFacts } from '../sys/statx.ts'
import { Turns } from '../turns.ts'

/** Deeper directories are moved up beside the top, so that open descriptors and time stay bounded. */
const DEPTH_MAX = 48

interface Level {
  readonly fd: number
  /** The open directory above, and the name in it. */
  readonly parent: number
  readonly name: Name
  readonly names: { readonly name: Name; readonly directory: boolean }[]
}

/**
 * Removes the tree at `path` at once, or whatever else is there; nothing there is no failure. Symlinks
 * are removed, never followed.
 *
 * @throws NspawnError; `EBUSY` when something is mounted in the tree: then nothing was removed
 */
export function removeTree(path: string): void {
  for (const _ of removal(path));
}

/** The same in slices of a few milliseconds, so that the process can do other things meanwhile. */
export async function removeTreeGently(path: string): Promise<void> {
  const turns = new Turns()
  for (const _ of removal(path)) if (turns.isOver) await turns.next()
}

/** `removeTree()` for an entry of an open directory, whose name may be any bytes. */
export function removeTreeAt(directory: number, name: Name): void {
  for (const _ of removalAt(directory, name, () => undefined));
}

/** Does the work, stopping after every few hundred names for the caller to go on. */
function* removal(path: string): Generator<undefined> {
  const parent = openParent(path)
  if (parent === undefined) return
  try {
    yield* removalAt(parent, nameOf(basename(path)), () => refuseMounts(path))
  } finally {
    closeSync(parent)
  }
}

function* removalAt(parent: number, name: Name, check: () => void): Generator<undefined> {
  const facts = statIfThere(parent, name)
  if (facts === undefined) return
  if ((facts.mode & S_IFMT) !== S_IFDIR) return unlinkFile(parent, name)
  check()
  const type = statfsSync(`/proc/self/fd/${parent}`).type
  yield* removeDirectory(parent, name, type === BTRFS_SUPER_MAGIC)
}

function openParent(path: string): number | undefined {
  try {
    return openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function statIfThere(directory: number, name: Name): InodeFacts | undefined {
  try {
    return statAt(directory, name)
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Mount points below `path`, which may itself be one; deepest last. */
export function mountsBelow(path: string): string[] {
  const top = join(realpathSync(dirname(path)), basename(path))
  const points: string[] = []
  for (const line of readFileSync('/proc/self/mountinfo', 'latin1').split('\n')) {
    const field = line.split(' ')[4]
    if (field === undefined) continue
    const octal = field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(parseInt(digits, 8)),
    )
    const point = Buffer.from(octal, 'latin1').toString()
    if (point === top || point.startsWith(`${top}/`)) points.push(point)
  }
  return points
}

function refuseMounts(path: string): void {
  const [mounted] = mountsBelow(path)
  if (mounted === undefined) return
  throw new NspawnError(`cannot remove ${path}: something is mounted in it`, {
    code: 'EBUSY',
    operation: 'remove',
    subject: mounted,
    hint: `unmount ${mounted} first`,
  })
}

function* removeDirectory(parent: number, name: Name, btrfs: boolean): Generator<undefined> {
  const topFd = openForRemoval(parent, name)
  const top = statAt(topFd)
  const stack: Level[] = [{ fd: topFd, parent, name, names: entriesOf(topFd) }]
  let moved = 0
  let done = 0
  try {
    if (btrfs && isSubvolumeTop(topFd)) return destroySubvolumeAt(parent, name)
    for (let level = stack.at(-1); level !== undefined; level = stack.at(-1)) {
      const entry = level.names.pop()
      if (entry === undefined) {
        // Closed first: removing a directory that is open makes the close wait for the disk.
        stack.pop()
        closeSync(level.fd)
        removeEmptied(level)
        continue
      }
      if (++done % 256 === 0) yield undefined
      if (!entry.directory) {
        unlinkFile(level.fd, entry.name)
        continue
      }
      if (
        stack.length >= DEPTH_MAX &&
        moveUp(level.fd, entry.name, topFd, `.#${++moved}`, stack[0] as Level)
      )
        continue
      const fd = openForRemoval(level.fd, entry.name)
      if (btrfs && isSubvolumeTop(fd)) {
        closeSync(fd)
        destroySubvolumeAt(level.fd, entry.name)
        continue
      }
      if (!sameMount(top, statAt(fd))) {
        closeSync(fd)
        throw new NspawnError('cannot remove a tree that something is mounted in', {
          code: 'EBUSY',
          operation: 'remove',
          subject: pathAt(level.fd, entry.name),
        })
      }
      stack.push({ fd, parent: level.fd, name: entry.name, names: entriesOf(fd) })
    }
  } finally {
    for (const level of stack) closeSync(level.fd)
  }
}

function entriesOf(fd: number): Level['names'] {
  return readEntries(fd).map((entry) => ({
    name: nameOfEntry(entry),
    directory: entry.isDirectory(),
  }))
}

/** Opens a directory that its owner may have closed to everybody: work directories of overlays are. */
function openForRemoval(directory: number, name: Name): number {
  try {
    return openDirectoryAt(directory, name)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'EACCES') throw error
    chmodAt(directory, name, 0o700)
    return openDirectoryAt(directory, name)
  }
}

function unlinkFile(directory: number, name: Name): void {
  let refused = tryUnlinkAt(directory, name, 'file')
  if (refused === undefined) return
  if (refused === 'EISDIR') throw refusal(directory, name, 'EBUSY')
  if (unprotect(directory, name)) refused = tryUnlinkAt(directory, name, 'file')
  if (refused !== undefined) throw refusal(directory, name, refused)
}

/** Removes the directory of a level, whose entries are gone. */
function removeEmptied(level: Level): void {
  let refused = tryUnlinkAt(level.parent, level.name, 'directory')
  if (refused === 'EPERM' || refused === 'EACCES') {
    withDirectory(openForRemoval(level.parent, level.name), unprotectInode)
    unprotect(level.parent)
    refused = tryUnlinkAt(level.parent, level.name, 'directory')
  }
  if (refused !== undefined) throw refusal(level.parent, level.name, refused)
}

/** Moves a directory to the top level, to be emptied later; false when that cannot be. */
function moveUp(
  directory: number,
  name: Name,
  topFd: number,
  newName: string,
  top: Level,
): boolean {
  const target = nameOf(newName)
  let refused = tryRenameAt(directory, name, topFd, target)
  if (refused === 'EPERM') {
    unprotect(directory)
    withDirectory(openForRemoval(directory, name), unprotectInode)
    refused = tryRenameAt(directory, name, topFd, target)
  }
  if (refused !== undefined) return false
  top.names.push({ name: target, directory: true })
  return true
}

/**
 * Lifts what forbids changing a directory and (if it is a regular file) the entry `name` of it.
 *
 * @returns whether anything was lifted
 */
function unprotect(directory: number, name?: Name): boolean {
  let lifted = withDirectory(openDirectoryAt(directory, nameOf('.')), (fd) => {
    const mode = statAt(fd).mode & 0o7777
    const closed = (mode & 0o300) !== 0o300
    const unprotected = unprotectInode(fd)
    if (closed) chmodAt(fd, nameOf('.'), mode | 0o700)
    return unprotected || closed
  })
  if (name !== undefined && (statAt(directory, name).mode & S_IFMT) === S_IFREG) {
    const fd = openFileAt(directory, name, 'read')
    try {
      lifted = unprotectInode(fd) || lifted
    } finally {
      closeSync(fd)
    }
  }
  return lifted
}

function refusal(directory: number, name: Name, code: string): NspawnError {
  return new NspawnError('cannot remove a file', {
    code,
    operation: 'unlink',
    subject: pathAt(directory, name),
  })
}
