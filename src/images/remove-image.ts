/** Removing an image for good, so that at no time half of it can be seen under its name. */
import { lstatSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { setImmutable } from '../sys/inode-flags.ts'
import { isImmutable, type Image } from './discover.ts'
import { claimHiddenTree, type HiddenTree, removeStaleHiddenTrees } from './hidden-tree.ts'
import { lockImage } from './lock.ts'
import { mountsBelow, removeTree } from './remove-tree.ts'

/** Files that belong to an image by its name (systemd.nspawn(5), systemd-dissect(1)). */
const sideFiles = [
  '.nspawn',
  '.roothash',
  '.roothash.p7s',
  '.usrhash',
  '.usrhash.p7s',
  '.verity',
  '.oci-config',
]
const settingsDirectories = ['/etc/systemd/nspawn', '/run/systemd/nspawn']

/**
 * Removes an image and the files that belong to it. A symlink is removed, what it points to stays.
 *
 * @throws NspawnError, `EBUSY` when it is in use or something is mounted in it, `EROFS` for images
 *   that came with the system and for device nodes
 */
export async function removeImage(image: Image, log: LogSink): Promise<void> {
  if (image.vendor || image.path.startsWith('/dev/')) {
    throw new NspawnError(`image ${image.name} is not ours to remove`, {
      code: 'EROFS',
      operation: 'remove image',
      subject: image.path,
    })
  }
  removeStaleHiddenTrees(dirname(image.path), log)
  const lock = lockImage(image.path, 'exclusive')
  try {
    const hidden = lstatSync(image.path).isDirectory() ? hideDirectory(image.path) : undefined
    if (hidden === undefined) removeTree(image.path)
    removeSideFiles(image)
    await hidden?.remove()
  } finally {
    lock.release()
  }
}

/** Takes the name away from a directory: from here on the image does not exist. */
function hideDirectory(path: string): HiddenTree {
  const [mounted] = mountsBelow(path)
  if (mounted !== undefined) {
    throw new NspawnError(`cannot remove ${path}: something is mounted in it`, {
      code: 'EBUSY',
      operation: 'remove image',
      subject: mounted,
      hint: `unmount ${mounted} first`,
    })
  }
  const hidden = claimHiddenTree(dirname(path), basename(path))
  try {
    // An immutable directory cannot be renamed.
    if (isImmutable(path)) setImmutable(path, false)
    renameSync(path, hidden.path)
  } catch (error) {
    hidden.release()
    throw error
  }
  return hidden
}

function removeSideFiles(image: Image): void {
  for (const suffix of sideFiles)
    rmSync(join(dirname(image.path), image.name + suffix), { force: true })
  for (const directory of settingsDirectories)
    rmSync(join(directory, `${image.name}.nspawn`), { force: true })
}
