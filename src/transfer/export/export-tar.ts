/** A tree becomes a tar archive. */
import { basename, dirname } from 'node:path'
import { usageError, type NspawnError } from '../../errors.ts'
import type { Image } from '../../images/discover.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../../images/hidden-tree.ts'
import { measureUsage } from '../../images/usage.ts'
import { isSubvolume, setSubvolumeReadOnly, snapshotSubvolume } from '../../sys/btrfs.ts'
import { compress } from '../compress.ts'
import { packTree } from '../tar/pack.ts'
import {
  exportImage,
  warnOfUse,
  type ExportedImage,
  type ExportRequest,
  type ExportWork,
} from './export.ts'

/**
 * Exports a tree: a subvolume as it is at this moment, from a snapshot that goes away afterwards; any other as it is
 * read, while nobody else may change it.
 *
 * @throws NspawnError as `exportImage()` and `packTree()`; `USAGE` for disk images
 */
export function exportTar(request: ExportRequest): Promise<ExportedImage> {
  return exportImage('export-tar', request, refuseDisks, async (work) => {
    const { compression, output, signal, log } = work
    const snapshot = takeSnapshot(work)
    if (snapshot === undefined) warnOfUse(work)
    const tree = snapshot ?? work.path
    const total = await measureUsage(tree)
    const archive = packTree(tree, {
      signal,
      log,
      progress: ({ bytes }) => work.progress(bytes, total),
    })
    let length = 0
    const counted = async function* () {
      for await (const chunk of archive) {
        length += chunk.length
        yield chunk
      }
    }
    await output.write(compress(counted(), compression, { signal }), signal)
    return length
  })
}

function refuseDisks(image: Image): void {
  if (image.type === 'directory' || image.type === 'subvolume') return
  throw usageError(
    `image ${image.name} is a disk image`,
    '"tsnspawn-build export-raw" exports disk images',
  )
}

/** @returns undefined where the tree is no subvolume, or nothing can be made beside it */
function takeSnapshot({ path, cleanup, log }: ExportWork): string | undefined {
  if (!isSubvolume(path)) return undefined
  try {
    const directory = dirname(path)
    for (const stale of removeStaleHiddenTrees(directory, log))
      log({ kind: 'notice', text: `removed ${stale}, left by a process that is gone` })
    const hidden = claimHiddenTree(directory, basename(path))
    cleanup.defer(`snapshot ${hidden.path}`, () => hidden.remove())
    snapshotSubvolume(path, hidden.path)
    setSubvolumeReadOnly(hidden.path, true)
    return hidden.path
  } catch (error) {
    const refusals = ['EROFS', 'EXDEV', 'EPERM', 'EACCES', 'ENOTTY']
    const code = (error as NspawnError | NodeJS.ErrnoException).code ?? ''
    if (refusals.includes(code)) return undefined
    throw error
  }
}
