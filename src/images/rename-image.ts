/** A new name for an image and the files that belong to it, in one moment. */
import { existsSync, lstatSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { renameNew } from '../sys/at.ts'
import { setImmutable } from '../sys/inode-flags.ts'
import { findImage, isImmutable, type Image } from './discover.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from './hidden-tree.ts'
import { lockImage, lockImageName } from './lock.ts'
import { changeNames, identityOf, planMove } from './name-change.ts'
import { checkNewName } from './new-image.ts'
import { refuseForeign } from './foreign-image.ts'
import { renamedSideFile, sideFilesOf } from './side-files.ts'

/**
 * Renames an image where it lies; read-only ones stay so.
 *
 * @param override a machines directory that was asked for, see `imageSearchPath()`
 * @returns its new path
 * @throws NspawnError `USAGE` for a name, `IMAGE_EXISTS`, `EBUSY` when it is in use, `EROFS` for what is not ours
 */
export function renameImage(
  image: Image,
  name: string,
  log: LogSink,
  override: string | undefined,
): string {
  checkNewName(name)
  refuseForeign(image, 'rename')
  const directory = dirname(image.path)
  removeStaleHiddenTrees(directory, log)
  const lock = lockImage(image.path, 'exclusive')
  try {
    const reserved = lockImageName(name, directory)
    try {
      return renameLocked(image, name, log, override)
    } finally {
      reserved.release()
    }
  } finally {
    lock.release()
  }
}

function renameLocked(
  image: Image,
  name: string,
  log: LogSink,
  override: string | undefined,
): string {
  const { path } = image
  const directory = dirname(path)
  const target = join(directory, image.type === 'raw' ? `${name}.raw` : name)
  const files = sideFilesOf(image).map((file) => planMove(file.path, renamedSideFile(file, name)))
  for (const taken of [
    findImage(name, override)?.path,
    target,
    ...files.map(({ to }) => to.path),
  ]) {
    if (taken === undefined || !existsSync(taken)) continue
    throw new NspawnError(`there is ${taken} already`, {
      code: 'IMAGE_EXISTS',
      operation: 'rename image',
      subject: taken,
      hint: 'choose another name, or remove it first',
    })
  }
  // What is immutable cannot be renamed.
  const marked = lstatSync(path).isDirectory() && isImmutable(path)
  const note = claimHiddenTree(directory, basename(path))
  try {
    changeNames(
      {
        target,
        image: identityOf(path)!,
        mark: marked,
        markedSource: marked ? path : undefined,
        before: [],
        after: files,
        remove: [],
      },
      note.announce,
      () => {
        if (marked) setImmutable(path, false)
        renameNew(path, target)
      },
      log,
    )
  } finally {
    note.release()
  }
  return target
}
