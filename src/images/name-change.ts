/**
 * A change of names in several steps: an image and the files that belong to it get theirs, or lose them.
 * One rename decides. Before the first step the whole change is written down in the lock file of a
 * hidden tree; when its owner dies, whoever comes next takes back what was done before that rename, or
 * does what was to follow it.
 */
import { copyFileSync, existsSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { renameNew } from '../sys/at.ts'
import { isSubvolume, subvolumeId } from '../sys/btrfs.ts'
import { markImage } from './mark-image.ts'

/** All paths are absolute. */
export interface NameChange {
  /** Where the image is once the change is decided. */
  readonly target: string
  /** The image itself, see `identityOf()`. */
  readonly image: string
  /** The image gets the read-only mark, which it may not have while its name is changed. */
  readonly mark: boolean
  /** Where a marked image was before: it gets the mark back when the change is taken back. */
  readonly markedSource?: string | undefined
  /** Side files that get their names before the image gets its. Nobody has these names. */
  readonly before: readonly Move[]
  /** Those that do afterwards, and replace what is there. */
  readonly after: readonly Move[]
  /** Files that go away afterwards. */
  readonly remove: readonly string[]
}

export interface Move {
  readonly from: string
  readonly to: string
  /** The file itself, see `identityOf()`. */
  readonly file: string
}

/** What stays the same when a file is renamed, and belongs to no other one of its file system. */
export function identityOf(path: string): string | undefined {
  const facts = lstatSync(path, { throwIfNoEntry: false, bigint: true })
  if (facts === undefined) return undefined
  // All subvolumes have the same inode number, and snapshots the time of birth too.
  if (facts.isDirectory() && isSubvolume(path)) return `subvolume ${subvolumeId(path)}`
  return `inode ${facts.ino} ${facts.birthtimeNs}`
}

export function planMove(from: string, to: string): Move {
  return { from, to, file: identityOf(from) ?? '' }
}

/**
 * Makes the change.
 *
 * @param write keeps the text where `mendNameChange()` will get it from
 * @param decide the rename that puts the image at `target`
 * @throws what `decide` throws; then nothing has changed
 */
export function changeNames(
  change: NameChange,
  write: (text: string) => void,
  decide: () => void,
  log: LogSink,
): void {
  write(JSON.stringify(change))
  try {
    for (const { from, to } of change.before) renameNew(from, to)
    decide()
  } catch (error) {
    takeBack(change, log)
    throw error
  }
  follow(change, log)
}

/** Ends a change whose owner died, one way or the other. */
export function mendNameChange(text: string, log: LogSink): void {
  let change: NameChange
  try {
    change = JSON.parse(text) as NameChange
  } catch (error) {
    // Its owner died while it wrote this, and so before it did anything.
    if (error instanceof SyntaxError) return
    throw error
  }
  if (identityOf(change.target) === change.image) follow(change, log)
  else takeBack(change, log)
}

function follow(change: NameChange, log: LogSink): void {
  for (const { from, to } of change.after) if (existsSync(from)) moveFile(from, to)
  for (const path of change.remove) rmSync(path, { force: true })
  if (change.mark) mark(change.target, log)
}

function takeBack(change: NameChange, log: LogSink): void {
  for (const { to, file } of change.before) if (identityOf(to) === file) rmSync(to)
  const { markedSource } = change
  if (markedSource !== undefined && identityOf(markedSource) === change.image)
    mark(markedSource, log)
}

/** Puts a file in the place of another one, which may be on another file system. */
function moveFile(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
    const beside = join(dirname(to), `.#${basename(to)}`)
    copyFileSync(from, beside)
    renameSync(beside, to)
    rmSync(from)
  }
}

/** A file system without marks is no reason to have no image. */
function mark(path: string, log: LogSink): void {
  try {
    markImage(path, 'read-only')
  } catch (error) {
    if (!(error instanceof NspawnError) || !['ENOTTY', 'EOPNOTSUPP'].includes(error.code))
      throw error
    log({
      kind: 'warning',
      text: `${path} can be written: its file system has no mark that says otherwise`,
    })
  }
}
