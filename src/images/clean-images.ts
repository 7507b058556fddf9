/** Removing images by the dozen: hidden ones, which are copies of downloads, or all. */
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { imageSearchPath, listImages, type Image } from './discover.ts'
import { isForeign } from './foreign-image.ts'
import { removeStaleHiddenTrees } from './hidden-tree.ts'
import { lockImage } from './lock.ts'
import { removeImage } from './remove-image.ts'
import { mountsBelow } from './remove-tree.ts'
import { spaceOf } from './space.ts'
import { measureUsage } from './usage.ts'

export interface CleanedImage {
  readonly name: string
  /** Space that nothing else shares; undefined when nobody knows. */
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
  for (const image of candidates(what, override)) {
    await unlessInUse(async () => {
      const { exclusiveBytes } = spaceOf(image)
      await removeImage(image, log)
      removed({ name: image.name, freedBytes: exclusiveBytes })
    })
  }
}

/** What `cleanImages()` would remove, and the space of each on disk where nobody knows what is its alone. */
export async function imagesToClean(
  what: 'hidden' | 'all',
  override: string | undefined,
): Promise<CleanedImage[]> {
  const found: CleanedImage[] = []
  for (const image of candidates(what, override)) {
    await unlessInUse(async () => {
      lockImage(image.path, 'exclusive').release()
      if (mountsBelow(image.path).length > 0) return
      const freedBytes = spaceOf(image).exclusiveBytes ?? (await measureUsage(image.path))
      found.push({ name: image.name, freedBytes })
    })
  }
  return found
}

function candidates(what: 'hidden' | 'all', override: string | undefined): Image[] {
  return listImages({ hidden: true, override }).filter(
    (image) => !isForeign(image) && (what === 'all' || image.hidden),
  )
}

async function unlessInUse(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof NspawnError) || !['EBUSY', 'EROFS'].includes(error.code)) throw error
  }
}
