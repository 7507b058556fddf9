/** A stream or another file made a disk image's file, as small on the disk as its contents allow. */
import { fstatSync, readSync } from 'node:fs'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { dataExtents } from '../../sys/data-ranges.ts'
import { cloneFile } from '../../sys/reflink.ts'
import { SparseFile } from './sparse-file.ts'
import { Turns } from '../../turns.ts'

export interface WriteDiskOptions {
  /** Ends the writing with `CANCELED`; the file is left to the caller. */
  readonly signal?: AbortSignal | undefined
  /** The image may not be longer. */
  readonly limitBytes?: number | undefined
  /** Called now and then with the length written so far. */
  readonly progress?: ((doneBytes: number) => void) | undefined
}

/**
 * Writes `chunks` to a new file at `path`. Blocks of zeros become holes; the file has its full length all the
 * same. On btrfs it is written in place from then on.
 *
 * @returns the file's length
 * @throws NspawnError `TOO_LARGE`, `CANCELED`, `EEXIST`, `ENOSPC`, …; whatever `chunks` throws. What was written by then is
 *   left to the caller
 */
export async function writeDisk(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
  options: WriteDiskOptions = {},
): Promise<{ bytes: number }> {
  using file = SparseFile.create(path)
  file.writeInPlace()
  const turns = new Turns()
  for await (const chunk of chunks) {
    throwIfCanceled(options.signal, 'writing the disk image')
    refuseLonger(file.length + chunk.length, options.limitBytes)
    file.write(chunk)
    if (!turns.isOver) continue
    options.progress?.(file.length)
    await turns.next()
  }
  throwIfCanceled(options.signal, 'writing the disk image')
  file.finish()
  return { bytes: file.length }
}

/** Files are copied in pieces of this size. */
const PIECE = 1 << 20

/**
 * Copies the regular file `source` to a new file at `path`: its blocks are shared where the file system can, else its
 * data are written as by `writeDisk()`, and its holes stay holes without being read.
 *
 * @param source open for reading; read from its start, wherever its offset is
 */
export async function copyDisk(
  source: number,
  path: string,
  options: WriteDiskOptions = {},
): Promise<{ bytes: number }> {
  refuseLonger(fstatSync(source).size, options.limitBytes)
  using file = SparseFile.create(path)
  // A file that is written in place shares blocks only with its like, so this comes after the first attempt.
  if (!cloneFile(source, file.fd)) file.writeInPlace()
  return await copyInto(source, file, options)
}

/** The same into an empty file, which stays what it is. */
export async function copyInto(
  source: number,
  file: SparseFile,
  options: WriteDiskOptions = {},
): Promise<{ bytes: number }> {
  const bytes = fstatSync(source).size
  refuseLonger(bytes, options.limitBytes)
  throwIfCanceled(options.signal, 'copying the disk image')
  if (cloneFile(source, file.fd)) file.skip(bytes)
  else await copyData(source, bytes, file, options)
  file.finish()
  return { bytes }
}

async function copyData(
  source: number,
  bytes: number,
  file: SparseFile,
  options: WriteDiskOptions,
): Promise<void> {
  const piece = new Uint8Array(PIECE)
  const turns = new Turns()
  for (const { start, end } of dataExtents(source, bytes)) {
    file.skip(start - file.length)
    while (file.length < end) {
      const got = readSync(source, piece, 0, Math.min(PIECE, end - file.length), file.length)
      if (got === 0) throw shrunk()
      file.write(piece.subarray(0, got))
      if (!turns.isOver) continue
      options.progress?.(file.length)
      await turns.next()
      throwIfCanceled(options.signal, 'copying the disk image')
    }
  }
  file.skip(bytes - file.length)
}

function shrunk(): NspawnError {
  return new NspawnError('the disk image became shorter while it was being copied', {
    code: 'EAGAIN',
    operation: 'read',
  })
}

/** @throws NspawnError `TOO_LARGE` */
export function refuseLonger(bytes: number, limitBytes: number | undefined): void {
  if (limitBytes === undefined || bytes <= limitBytes) return
  throw new NspawnError(`the disk image is larger than the limit of ${limitBytes} bytes`, {
    code: 'TOO_LARGE',
    operation: 'write',
  })
}
