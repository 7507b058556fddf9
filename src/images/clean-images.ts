/** Removing images by the dozen: hidden ones, which are copies of downloads, or all. */
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { imageSearchPath, listImages } from './discover.ts'
import { isForeign } from './foreign-image.ts'
import { removeStaleHiddenTrees } from './hidden-tree.ts'
import { removeImage } from './remove-image.ts'
import { spaceOf } from './space.ts'

export interface CleanedImage {
  readonly name: string
  /** Space that nothing else shared; undefined when nobody knows. */
  readonly freedBytes: number | undefined
}

/**
 * Removes the hidden images, or all, and what dead processes left in their directories. Images that are
 * in use, the host's and the system's stay.
 *
 * @param removed called after each
 */
export async function cleanImages(
  what: 'hidden' | 'all',
  override: string | undefined,
  log: LogSink,
  removed: (image: CleanedImage) => void,
): Promise<void> {
  for (const directory of imageSearchPath(override)) removeStaleHiddenTrees(directory, log)
  for (const image of listImages({ hidden: true, override })) {
    if (isForeign(image) || (what === 'hidden' && !image.hidden)) continue
    try {
      const { exclusiveBytes } = spaceOf(image)
      await removeImage(image, log)
      removed({ name: image.name, freedBytes: exclusiveBytes })
    } catch (error) {
      if (!(error instanceof NspawnError) || !['EBUSY', 'EROFS'].includes(error.code)) throw error
    }
  }
}
