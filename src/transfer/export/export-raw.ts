/** A disk image becomes a file or a stream. */
import { closeSync, constants, fstatSync, futimesSync, openSync } from 'node:fs'
import { usageError } from '../../errors.ts'
import type { Image } from '../../images/discover.ts'
import { getXattr, listXattrs, setXattr } from '../../sys/xattr.ts'
import { compress } from '../compress.ts'
import { copyInto } from '../disk/write.ts'
import { readChunks } from '../local/read-chunks.ts'
import {
  exportImage,
  warnOfUse,
  type ExportedImage,
  type ExportRequest,
  type ExportWork,
} from './export.ts'
import { cloneUnnamed } from './stable-file.ts'

/**
 * Exports a disk image as it is at this moment, where its file system can share blocks; elsewhere as it is read. An
 * uncompressed file has the image's holes, and shares its blocks where it can. A file gets the image's times and
 * attributes.
 *
 * @throws NspawnError as `exportImage()`; `USAGE` for trees and block devices
 */
export function exportRaw(request: ExportRequest): Promise<ExportedImage> {
  return exportImage('export-raw', request, refuseOthers, async (work) => {
    const source = openSync(work.path, constants.O_RDONLY | constants.O_NOFOLLOW)
    work.cleanup.defer(work.path, () => closeSync(source))
    const stable = cloneUnnamed(source, work.path)
    if (stable === undefined) warnOfUse(work)
    else work.cleanup.defer(`copy of ${work.path}`, () => closeSync(stable))
    const bytes = await writeOut(stable ?? source, work)
    if (work.output.file !== undefined) copyFacts(source, work.output.file.fd)
    return bytes
  })
}

function refuseOthers(image: Image): void {
  if (image.type === 'raw') return
  throw image.type === 'block'
    ? usageError(`image ${image.name} is a block device, which cannot be exported`)
    : usageError(`image ${image.name} is a tree`, '"tsnspawn-build export-tar" exports trees')
}

async function writeOut(
  source: number,
  { compression, output, signal, progress }: ExportWork,
): Promise<number> {
  const total = fstatSync(source).size
  if (compression === 'uncompressed' && output.file !== undefined) {
    const { bytes } = await copyInto(source, output.file, {
      signal,
      progress: (done) => progress(done, total),
    })
    return bytes
  }
  let bytes = 0
  const chunks = async function* () {
    for await (const chunk of readChunks(source, 0)) {
      bytes += chunk.length
      yield chunk
      progress(bytes, total)
    }
  }
  await output.write(compress(chunks(), compression, { signal }), signal)
  return bytes
}

/** What can be had of it: the file may lie on a file system that knows no attributes. */
function copyFacts(from: number, to: number): void {
  for (const name of listXattrs(from)) {
    const value = getXattr(from, name)
    if (value === undefined || !name.startsWith('user.')) continue
    try {
      setXattr(to, name, value)
    } catch (error) {
      if ((error as { code?: string }).code !== 'EOPNOTSUPP') throw error
    }
  }
  const { atimeMs, mtimeMs } = fstatSync(from)
  futimesSync(to, atimeMs / 1000, mtimeMs / 1000)
}
