/** Streams of plain bytes made smaller, by a program of the host where it has one, else by Node's zlib. */
import { Readable, type Duplex } from 'node:stream'
import * as zlib from 'node:zlib'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { findProgram } from '../find-program.ts'
import type { Compression } from './compression.ts'
import { throughProgram } from './host-filter.ts'

export { compressionByName, type Compression } from './compression.ts'

/** The first that is there is taken. */
const programs: Readonly<Record<Compression, readonly (readonly [string, ...string[]])[]>> = {
  uncompressed: [],
  // No time stamp: the same tree shall give the same bytes.
  gzip: [['pigz', '-n', '-c']],
  bzip2: [
    ['lbzip2', '-c'],
    ['pbzip2', '-c'],
    ['bzip2', '-c'],
  ],
  xz: [['xz', '-T0', '-c']],
  zstd: [['zstd', '-T0', '-c', '-q']],
}

const packages = { bzip2: 'bzip2', xz: 'xz-utils', zstd: 'zstd' }
const CHUNK_BYTES = 1 << 18

/**
 * Compresses `chunks` on all cores, with the usual level of the format.
 *
 * @throws NspawnError `PROGRAM_NOT_FOUND` where the host cannot; while read: `COMPRESSION_FAILED`, `CANCELED`, what
 *   `chunks` throws
 */
export function compress(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncIterable<Uint8Array> {
  const { signal } = options
  const purpose = `compress with ${compression}`
  for (const [program, ...args] of programs[compression]) {
    const path = findProgram(program)
    if (path === undefined) continue
    return throughProgram([path, ...args], chunks, { purpose, code: 'COMPRESSION_FAILED', signal })
  }
  switch (compression) {
    case 'uncompressed':
      return chunks
    case 'gzip':
      return throughNode(chunks, zlib.createGzip({ chunkSize: CHUNK_BYTES }), signal)
    case 'bzip2':
    case 'xz':
    case 'zstd':
      throw new NspawnError(`cannot ${purpose}`, {
        code: 'PROGRAM_NOT_FOUND',
        operation: compression,
        hint: `install the package ${packages[compression]}, or choose gzip`,
      })
  }
}

async function* throughNode(
  chunks: AsyncIterable<Uint8Array>,
  encoder: Duplex,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(chunks, { objectMode: false })
  input.on('error', (error) => encoder.destroy(error))
  const cancel = () => encoder.destroy(new Error('canceled'))
  signal?.addEventListener('abort', cancel)
  try {
    yield* input.pipe(encoder) as AsyncIterable<Uint8Array>
  } catch (error) {
    throwIfCanceled(signal, 'compressing')
    throw error
  } finally {
    signal?.removeEventListener('abort', cancel)
    input.destroy()
    encoder.destroy()
  }
}
