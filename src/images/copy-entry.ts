/** One entry of a directory to another one, between systems that do not trust each other or have different users. */
import { nameOf } from '../sys/at.ts'
import { isBtrfs } from '../sys/btrfs.ts'
import { S_IFDIR, S_IFMT, statAt } from '../sys/statx.ts'
import { copyOne, freshCopy, type Copy } from './copy-entries.ts'
import { KeptDirectories } from './kept-directories.ts'
import { inTurns, type CopiedAmount, type CopyOptions } from './copy-turns.ts'

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
  using kept = new KeptDirectories(to.directory)
  yield* copyOne(
    {
      ...freshCopy(copied, top, kept),
      inPlace: isBtrfs(from.directory) && isBtrfs(to.directory),
      rules: {
        ...options,
        existing: options.existing === 'merge' && !isDirectory ? 'fail' : options.existing,
      },
    },
    { from: from.directory, name, to: to.directory, newName: nameOf(to.name) },
  )
}
