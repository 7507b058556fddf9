/**
 * Copies a source directory into a layer: the container's build user cannot read what the caller's
 * directories keep private, and must not write to it.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import {
  chmod,
  copyFile,
  lchown,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readlink,
  symlink,
} from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfCanceled } from '../errors.ts'
import { hashFile } from '../hash-file.ts'

/** Not part of a source package, as dpkg-source has it too. */
const versionControlNames = new Set(['.git', '.hg', '.svn', '.bzr', 'CVS', '.jj'])

export interface CopiedTree {
  readonly files: number
  /** Over names, kinds, executable bits and contents, in the order of the names. */
  readonly sha256: string
}

export interface CopyWishes {
  /** User and group id of everything copied. */
  readonly owner: number
  /** Whether version control's own directories come along. */
  readonly versionControl: 'left-out' | 'copied'
  /** Whether what has this path, relative to the source, comes along; default everything. */
  readonly isWanted?: ((path: string) => boolean) | undefined
}

/**
 * Copies regular files, directories and symbolic links (as links); anything else is left out. Modes
 * become 755 or 644, times stay.
 *
 * @param destination absolute; must not exist
 */
export async function copySourceTree(
  source: string,
  destination: string,
  { owner, versionControl, isWanted = () => true }: CopyWishes,
  signal?: AbortSignal,
): Promise<CopiedTree> {
  const digest = createHash('sha256')
  let files = 0
  const copy = async (path: string, from: string, to: string): Promise<void> => {
    throwIfCanceled(signal, 'copying the source')
    const facts = await lstat(from)
    const note = (kind: string, content: string) => digest.update(`${kind} ${path}\0${content}\0`)
    if (facts.isDirectory()) {
      note('directory', '')
      await mkdir(to)
      for (const name of (await readdir(from)).toSorted()) {
        if (versionControl === 'left-out' && versionControlNames.has(name)) continue
        const inner = `${path}/${name}`
        if (isWanted(inner.slice(2))) await copy(inner, join(from, name), join(to, name))
      }
      await chmod(to, 0o755)
    } else if (facts.isSymbolicLink()) {
      const target = await readlink(from)
      note('link', target)
      await symlink(target, to)
    } else if (facts.isFile()) {
      const executable = (facts.mode & 0o100) !== 0
      await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
      await chmod(to, executable ? 0o755 : 0o644)
      note(executable ? 'program' : 'file', await hashFile(to))
      files++
    } else return
    await lchown(to, owner, owner)
    await lutimes(to, facts.atime, facts.mtime)
  }
  await copy('.', source, destination)
  return { files, sha256: digest.digest('hex') }
}
