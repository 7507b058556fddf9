/**
 * Layers and configurations that were downloaded once, kept by digest below the state directory and shared by all
 * images. What comes out of the cache was hashed again on the way: a file that was changed or damaged there is dropped
 * and fetched anew. Whoever uses a file holds a link of its own, so that it may be dropped at any time.
 */
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { CleanupStack } from '../../cleanup.ts'
import { hashFile } from '../../hash-file.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../../images/hidden-tree.ts'
import { linkOrCopy } from '../../link-or-copy.ts'
import type { LogSink } from '../../log.ts'
import { missing } from '../../read-if-there.ts'
import type { Descriptor } from './documents.ts'
import { hexOf } from './digest.ts'

/** What no image has asked for in this long is dropped. */
const keepMs = 60 * 24 * 3600 * 1000

export function blobDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'cache', 'oci')
}

export interface BlobStore {
  /** Where the blob is, or is to be put; nobody else knows this path. */
  pathOf(descriptor: Pick<Descriptor, 'digest'>): string
  /** Takes the blob from the cache to its path, if it is there and what it should be. */
  take(descriptor: Descriptor, signal: AbortSignal | undefined): Promise<boolean>
  /** Hands blobs at their paths to the cache, for the next image. */
  keep(descriptors: readonly Descriptor[]): Promise<void>
}

/**
 * Opens the cache with a place of its own in it, which goes away with the cleanup stack, or when the next one opens
 * the cache after a kill.
 */
export async function openBlobStore(
  stateDirectory: string,
  cleanup: CleanupStack,
  log: LogSink,
): Promise<BlobStore> {
  const directory = blobDirectory(stateDirectory)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await dropBlobs(stateDirectory, keepMs, log)
  const own = claimHiddenTree(directory, 'pull')
  cleanup.defer(`place ${own.path}`, () => own.remove())
  await mkdir(own.path, { mode: 0o700 })
  const pathOf = ({ digest }: Pick<Descriptor, 'digest'>) => join(own.path, hexOf(digest))
  return {
    pathOf,
    take: (descriptor, signal) =>
      take(join(directory, hexOf(descriptor.digest)), pathOf(descriptor), descriptor, signal),
    keep: async (descriptors) => {
      for (const descriptor of descriptors)
        await keep(pathOf(descriptor), join(directory, hexOf(descriptor.digest)))
    },
  }
}

/**
 * Drops blobs that were not used for `unusedMs`, all of them with 0, and what dead processes left.
 *
 * @returns how many bytes of blobs that was
 */
export async function dropBlobs(
  stateDirectory: string,
  unusedMs: number,
  log: LogSink,
): Promise<number> {
  removeStaleHiddenTrees(blobDirectory(stateDirectory), log)
  let bytes = 0
  for (const { path, size } of await blobsUnused(stateDirectory, unusedMs)) {
    await rm(path, { force: true })
    bytes += size
  }
  return bytes
}

/** How many bytes of blobs there are. */
export async function keptBlobBytes(stateDirectory: string): Promise<number> {
  const blobs = await blobsUnused(stateDirectory, 0)
  return blobs.reduce((sum, { size }) => sum + size, 0)
}

async function blobsUnused(
  stateDirectory: string,
  unusedMs: number,
): Promise<{ readonly path: string; readonly size: number }[]> {
  const directory = blobDirectory(stateDirectory)
  const names = (await readdir(directory).catch(missing)) ?? []
  const before = Date.now() - unusedMs
  const unused: { path: string; size: number }[] = []
  for (const name of names.filter((one) => /^[0-9a-f]{64}$/.test(one))) {
    const path = join(directory, name)
    const facts = await stat(path).catch(missing)
    if (facts === undefined || (unusedMs > 0 && facts.mtimeMs >= before)) continue
    unused.push({ path, size: facts.size })
  }
  return unused
}

async function take(
  kept: string,
  path: string,
  { digest, sizeBytes }: Descriptor,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await linkOrCopy(kept, path)
  } catch (error) {
    return missing(error) !== undefined
  }
  if ((await stat(path)).size === sizeBytes && (await hashFile(path, signal)) === hexOf(digest)) {
    const now = new Date()
    await utimes(path, now, now)
    return true
  }
  await rm(kept, { force: true })
  await rm(path)
  return false
}

async function keep(path: string, kept: string): Promise<void> {
  const incoming = `${path}.kept`
  await linkOrCopy(path, incoming)
  await rename(incoming, kept)
  // Two names of one file: then rename(2) leaves both.
  await rm(incoming, { force: true })
}
