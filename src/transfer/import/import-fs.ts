/** A directory of the host becomes a tree of its own. */
import { realpathSync, statSync } from 'node:fs'
import { usageError } from '../../errors.ts'
import { startCopyThreads } from '../../images/copy-threads.ts'
import { fillTree } from '../../images/fill-tree.ts'
import { removeTree } from '../../images/remove-tree.ts'
import { unusable } from '../local/open-file.ts'
import { liftOsTree } from '../os-tree.ts'
import {
  importedName,
  importImage,
  type ImportedImage,
  type ImportKind,
  type ImportRequest,
} from './import.ts'

const kind: ImportKind = {
  type: 'import-fs',
  image: 'tree',
  nameFrom: (name) => name,
}

/**
 * Imports a copy of a directory: a snapshot where it is a subvolume of the file system that images lie on, else a copy
 * that shares blocks where it can. Other mounts in it are empty directories in the copy, and so is the
 * directory of the images.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY`, `ENOSPC`, `CANCELED`, `TRANSFER_CANCELED`
 */
export async function importFs(request: ImportRequest): Promise<ImportedImage> {
  const name = importedName(kind, request)
  const source = existingDirectory(request.source)
  return importImage(kind, name, request, async ({ stage, directory, signal, log }) => {
    const images = realpathSync(directory)
    const holdsImages = source === '/' || images.startsWith(`${source}/`)
    removeTree(stage.path)
    await fillTree(source, stage.path, {
      log,
      signal,
      leaveOut: holdsImages ? images : undefined,
      startThreads: startCopyThreads,
    })
    liftOsTree(stage.path, log)
    return undefined
  })
}

function existingDirectory(path: string): string {
  try {
    if (!statSync(path).isDirectory())
      throw usageError(
        `${path} is not a directory`,
        'import-tar and import-raw import archives and disk images',
      )
    return realpathSync(path)
  } catch (error) {
    throw unusable(`cannot read ${path}`, error)
  }
}
