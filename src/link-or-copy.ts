/** A second name for a file that nobody changes, where the file system gives it one. */
import { constants } from 'node:fs'
import { copyFile, link } from 'node:fs/promises'

/**
 * Links `from` to the new name `to`, or copies it where it cannot have one there: on another file system, or when it
 * has too many.
 *
 * @throws what link(2) and copyFile() throw: `ENOENT`, `EEXIST`
 */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
  }
}
