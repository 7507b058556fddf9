/** The top directory of a tree that will live on: on btrfs a subvolume, so that copies of it are snapshots. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { NspawnError } from '../errors.ts'
import { createSubvolume } from '../sys/btrfs.ts'

/** What the kernel says where there are no subvolumes, or not for this caller. */
const refusals = ['ENOTTY', 'EOPNOTSUPP', 'EINVAL', 'EPERM']

/**
 * Makes an empty directory at `path`, which must not exist, mode 0755 less the umask.
 *
 * @param kind `subvolume`: nothing else will do
 * @throws NspawnError, `EOPNOTSUPP` where there are no subvolumes; or the error of mkdir(2)
 */
export function makeTreeTop(path: string, kind: 'any' | 'subvolume' = 'any'): void {
  try {
    createSubvolume(path)
  } catch (error) {
    if (!(error instanceof NspawnError) || !refusals.includes(error.code)) throw error
    if (kind === 'subvolume') {
      throw new NspawnError('cannot make a subvolume', {
        code: 'EOPNOTSUPP',
        subject: path,
        hint: subvolumeHint,
      })
    }
    mkdirSync(path, { mode: 0o755 })
  }
}

const subvolumeHint = 'subvolumes need btrfs; a directory can be made anywhere'

/** BTRFS_SUPER_MAGIC of <linux/magic.h>. */
const btrfsMagic = 0x9123683e

/**
 * Whether subvolumes can be made below `directory`, which may not be there yet.
 *
 * @throws NspawnError `NOT_SUPPORTED`
 */
export function checkSubvolumes(directory: string): void {
  let there = directory
  while (!existsSync(there)) there = dirname(there)
  if (statfsSync(there).type === btrfsMagic) return
  throw new NspawnError(`cannot make a subvolume in ${directory}`, {
    code: 'NOT_SUPPORTED',
    hint: subvolumeHint,
  })
}
