/** Removing an image for good, so that at no time half of it can be seen under its name. */
import { lstatSync, renameSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { setImmutable } from '../sys/inode-flags.ts'
import { isImmutable, type Image } from './discover.ts'
import { refuseForeign } from './foreign-image.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from './hidden-tree.ts'
import { lockImage } from './lock.ts'
import { changeNames, identityOf, knownFile } from './name-change.ts'
import { mountsBelow } from './remove-tree.ts'
import { sideFilesOf } from './side-files.ts'

/**
 * Removes an image and the files that belong to it. A symlink is removed, what it points to stays.
 *
 * @throws NspawnError, `EBUSY` when it is in use or something is mounted in it, `EROFS` for images
 *   that came with the system and for device nodes
 */
export async function removeImage(image: Image, log: LogSink): Promise<void> {
  const { path } = image
  refuseForeign(image, 'remove')
  removeStaleHiddenTrees(dirname(path), log)
  const lock = lockImage(path, 'exclusive', 'go-on')
  try {
    const isDirectory = lstatSync(path).isDirectory()
    if (isDirectory) refuseMounts(path)
    const hidden = claimHiddenTree(dirname(path), basename(path), 'remove')
    const marked = isDirectory && isImmutable(path)
    try {
      // From the rename on the image does not exist. What is immutable cannot be renamed.
      changeNames(
        {
          target: hidden.path,
          image: identityOf(path)!,
          mark: false,
          markedSource: marked ? path : undefined,
          before: [],
          after: [],
          remove: sideFilesOf(image).map((file) => knownFile(file.path)),
        },
        hidden.announce,
        () => {
          if (marked) setImmutable(path, false)
          renameSync(path, hidden.path)
        },
        log,
      )
    } catch (error) {
      hidden.release()
      throw error
    }
    await hidden.remove()
  } finally {
    lock.release()
  }
}

function refuseMounts(path: string): void {
  const [mounted] = mountsBelow(path)
  if (mounted === undefined) return
  throw new NspawnError(`cannot remove ${path}: something is mounted in it`, {
    code: 'EBUSY',
    operation: 'remove image',
    subject: mounted,
    hint: `unmount ${mounted} first`,
  })
}
