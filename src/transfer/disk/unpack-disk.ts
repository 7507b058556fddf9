/** A disk image as it is handed around, compressed or not, plain or qcow2, becomes a plain one. */
import { closeSync, constants, openSync, renameSync, rmSync } from 'node:fs'
import { openPlain } from '../decompress.ts'
import { convertQcow2 } from './convert-qcow2.ts'
import { isQcow2File } from './qcow2.ts'
import { writeDisk } from './write.ts'

export interface UnpackDiskOptions {
  readonly signal: AbortSignal
  /** The disk may not be larger, and neither the qcow2 image that it comes in. */
  readonly limitBytes?: number | undefined
}

/**
 * Writes the disk that `chunks` hold to a new file at `path`.
 *
 * @param scratch where a qcow2 image lies while it is unpacked; nothing is there, and nothing is left there
 * @throws NspawnError as `openPlain()`, `writeDisk()` and `convertQcow2()`; what was written to `path` is left
 */
export async function unpackDisk(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  scratch: string,
  options: UnpackDiskOptions,
): Promise<{ bytes: number }> {
  const plain = await openPlain(chunks, { signal: options.signal, chunks: 'lent' })
  const written = await writeDisk(plain.chunks, path, options)
  if (!withFile(path, isQcow2File)) return written
  renameSync(path, scratch)
  try {
    return await unpackQcow2(scratch, path, options)
  } finally {
    rmSync(scratch)
  }
}

async function unpackQcow2(
  source: string,
  path: string,
  options: UnpackDiskOptions,
): Promise<{ bytes: number }> {
  const fd = openSync(source, constants.O_RDONLY)
  try {
    return await convertQcow2(fd, path, options)
  } finally {
    closeSync(fd)
  }
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY)
  try {
    return use(fd)
  } finally {
    closeSync(fd)
  }
}
