/**
 * A faithful copy of a whole tree: owners, modes, times, hard links, holes, extended attributes (ACLs
 * and file capabilities are some), device nodes and fifos, and on btrfs what is written in place. Blocks are shared where
 * the file system can. Other flags of inodes (immutable, append-only) stay behind: a copy is to be changed.
 */
import { closeSync, constants, fchmodSync, mkdirSync, openSync } from 'node:fs'
import { AT_FDCWD } from '../sys/at-error.ts'
import { nameOf } from '../sys/at.ts'
import { isBtrfs } from '../sys/btrfs.ts'
import { statAt } from '../sys/statx.ts'
import { removeXattr } from '../sys/xattr.ts'
import { finishAttributes, freshCopy, type Copy } from './copy-entries.ts'
import type { StartCopyThreads } from './copy-share.ts'
import { fillTogether } from './copy-together.ts'
import { KeptDirectories } from './kept-directories.ts'
import type { CopiedAmount, CopyOptions } from './copy-turns.ts'

export interface TreeCopyOptions extends CopyOptions {
  /** A directory below the source whose contents do not come along. */
  readonly leaveOut?: string | undefined
  /** Called when the copy turns out to be large, for threads that take a part of it: `startCopyThreads`. */
  readonly startThreads?: StartCopyThreads | undefined
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
    try {
      using kept = new KeptDirectories(to)
      // Neither the group nor the default ACL of the directory around may be handed down to what is made here.
      fchmodSync(to, 0o700)
      for (const acl of ['system.posix_acl_default', 'system.posix_acl_access'])
        removeXattr(to, acl)
      const copy: Copy = {
        ...freshCopy(copied, statAt(from), kept),
        targetTop: statAt(to),
        leftOut: leaveOut === undefined ? undefined : statAt(AT_FDCWD, nameOf(leaveOut)),
        inPlace: isBtrfs(from) && isBtrfs(to),
        startThreads,
      }
      await fillTogether(copy, from, to, options, source)
      finishAttributes(copy, from, to, copy.top)
    } finally {
      closeSync(to)
    }
  } finally {
    closeSync(from)
  }
  return copied
}

function openTop(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
}
