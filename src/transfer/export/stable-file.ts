/** A copy of a file that nobody else can change, and that takes no time and no space. */
import { closeSync, constants, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { matchWrittenInPlace } from '../../sys/inode-flags.ts'
import { cloneFile } from '../../sys/reflink.ts'

/* <asm-generic/fcntl.h>: with O_DIRECTORY, which some architectures number otherwise */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

/**
 * A file without a name that shares all blocks of the open file `source`, open for reading.
 *
 * @param path of `source`; the copy lies on its file system
 * @returns undefined where blocks cannot be shared, or nothing can be written
 */
export function cloneUnnamed(source: number, path: string): number | undefined {
  let copy: number
  try {
    copy = openSync(dirname(path), O_TMPFILE | constants.O_RDWR, 0o600)
  } catch {
    return undefined
  }
  let shared = false
  try {
    matchWrittenInPlace(source, copy)
    shared = cloneFile(source, copy)
  } finally {
    if (!shared) closeSync(copy)
  }
  return shared ? copy : undefined
}
