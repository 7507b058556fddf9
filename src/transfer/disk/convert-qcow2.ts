/** A qcow2 image made a plain disk image, sparse where the disk is empty. */
import { constants, inflateRawSync } from 'node:zlib'
import { throwIfCanceled } from '../../errors.ts'
import { bad, openQcow2, readFully, type Extent } from './qcow2.ts'
import { SparseFile } from './sparse-file.ts'
import { Turns } from '../../turns.ts'
import { refuseLonger, type WriteDiskOptions } from './write.ts'

/** Stretches of the disk are copied in pieces of this size. */
const PIECE = 1 << 20

/**
 * Writes the disk that the qcow2 image `source` holds to a new file at `path`.
 *
 * @param source a regular file, open for reading
 * @param options the limit and the progress are those of the new file
 * @throws NspawnError `BAD_QCOW2`, `UNSUPPORTED_QCOW2` (nothing was made), and as `writeDisk()`. What was written by
 *   then is left to the caller
 */
export async function convertQcow2(
  source: number,
  path: string,
  options: WriteDiskOptions = {},
): Promise<{ bytes: number }> {
  const image = openQcow2(source)
  refuseLonger(image.diskBytes, options.limitBytes)
  throwIfCanceled(options.signal, 'unpacking the qcow2 image')
  using file = SparseFile.create(path)
  file.writeInPlace()
  const turns = new Turns()
  for (const extent of image.extents()) {
    for (const _ of writeExtent(source, extent, image.clusterBytes, file)) {
      if (!turns.isOver) continue
      options.progress?.(file.length)
      await turns.next()
      throwIfCanceled(options.signal, 'unpacking the qcow2 image')
    }
  }
  file.finish()
  return { bytes: file.length }
}

/** Writes one extent, stopping after each piece for the caller to go on. */
function* writeExtent(
  source: number,
  extent: Extent,
  clusterBytes: number,
  file: SparseFile,
): Generator<undefined> {
  switch (extent.kind) {
    case 'zero':
      file.skip(extent.bytes)
      yield undefined
      return
    case 'data':
      for (let done = 0; done < extent.bytes; done += PIECE) {
        file.write(read(source, extent.offset + done, Math.min(PIECE, extent.bytes - done)))
        yield undefined
      }
      return
    case 'compressed': {
      const cluster = inflate(read(source, extent.offset, extent.storedBytes), clusterBytes)
      file.write(cluster.subarray(0, extent.bytes))
      yield undefined
      return
    }
  }
}

/** What is stored is rounded up to whole sectors: there may be anything behind the compressed data. */
function inflate(stored: Uint8Array, clusterBytes: number): Uint8Array {
  let cluster: Uint8Array
  try {
    cluster = inflateRawSync(stored, {
      chunkSize: clusterBytes,
      maxOutputLength: clusterBytes,
      finishFlush: constants.Z_SYNC_FLUSH,
    })
  } catch {
    throw bad('a compressed cluster is broken')
  }
  if (cluster.length !== clusterBytes) throw bad('a compressed cluster is too short')
  return cluster
}

const piece = Buffer.allocUnsafe(PIECE)

function read(source: number, offset: number, length: number): Uint8Array {
  const buffer = length <= piece.length ? piece : Buffer.allocUnsafe(length)
  return readFully(source, buffer.subarray(0, length), offset)
}
