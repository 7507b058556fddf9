/** The top directory of a tree that will live on: on btrfs a subvolume, so that copies of it are snapshots. */
import { mkdirSync } from 'node:fs'
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
        hint: 'subvolumes need btrfs; a directory can be made anywhere',
      })
    }
    mkdirSync(path, { mode: 0o755 })
  }
}
