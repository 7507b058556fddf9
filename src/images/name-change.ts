/**
 * A change of names in several steps: an image and the files that belong to it get theirs, or lose them.
 * One rename decides. Before the first step the whole change is written down in the lock file of a
 * hidden tree; when its owner dies, whoever comes next takes back what was done before that rename, or
 * does what was to follow it.
 */
import { copyFileSync, lstatSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { LogSink } from '../log.ts'
import { renameNew } from '../sys/at.ts'
import { isSubvolume, subvolumeId } from '../sys/btrfs.ts'
import { isMarkless, markImage } from './mark-image.ts'

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
  readonly remove: readonly KnownFile[]
}

/** A file as it was when the change was planned: whatever else has its name when the change is mended stays. */
export interface KnownFile {
  readonly path: string
  /** See `identityOf()`; null for nothing. */
  readonly file: string | null
}

export interface Move {
  readonly from: KnownFile
  readonly to: KnownFile
}

/** What stays the same when a file is renamed, and belongs to no other one of its file system. */
export function identityOf(path: string): string | undefined {
  const facts = lstatSync(path, { throwIfNoEntry: false, bigint: true })
  if (facts === undefined) return undefined
  // All subvolumes have the same inode number, and snapshots the time of birth too.
  if (facts.isDirectory() && isSubvolume(path)) return `subvolume ${subvolumeId(path)}`
  return `inode ${facts.ino} ${facts.birthtimeNs}`
}

export function knownFile(path: string): KnownFile {
  return { path, file: identityOf(path) ?? null }
}

export function planMove(from: string, to: string): Move {
  return { from: knownFile(from), to: knownFile(to) }
}

function isAsKnown({ path, file }: KnownFile): boolean {
  return (identityOf(path) ?? null) === file
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
    for (const { from, to } of change.before) renameNew(from.path, to.path)
    decide()
  } catch (error) {
    takeBack(change, log)
    throw error
  }
  follow(change, log)
}

/** Ends a change whose owner died, one way or the other. */
export function mendNameChange(text: string, log: LogSink): void {
  const change = parseChange(text)
  if (change === undefined) return
  if (identityOf(change.target) === change.image) follow(change, log)
  else takeBack(change, log)
}

/** @returns undefined for a text whose writer died over it, and so before it did anything */
function parseChange(text: string): NameChange | undefined {
  try {
    const change = JSON.parse(text) as NameChange | null
    const lists = [change?.before, change?.after, change?.remove]
    return change !== null && lists.every((list) => Array.isArray(list)) ? change : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function follow(change: NameChange, log: LogSink): void {
  for (const { from, to } of change.after)
    if (isAsKnown(from) && isAsKnown(to)) moveFile(from.path, to.path)
  for (const known of change.remove) if (isAsKnown(known)) rmSync(known.path, { force: true })
  if (change.mark) mark(change.target, log)
}

function takeBack(change: NameChange, log: LogSink): void {
  for (const { from, to } of change.before)
    if (isAsKnown({ path: to.path, file: from.file })) rmSync(to.path)
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
    if (!isMarkless(error)) throw error
    log({
      kind: 'warning',
      text: `${path} can be written: its file system has no mark that says otherwise`,
    })
  }
}
