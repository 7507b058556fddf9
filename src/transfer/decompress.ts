/** Streams of compressed bytes made plain, with what Node and its packages have: no host tool needed. */
import { Readable } from 'node:stream'
import type * as Xz from 'xz-decompress'
import { createGunzip } from 'node:zlib'
import { NspawnError } from '../errors.ts'

/** Endings that `decompress()` knows, the cheapest first; the empty one is for plain files. */
export const compressionEndings = ['.gz', '.xz', ''] as const
export type CompressionEnding = (typeof compressionEndings)[number]

/**
 * The plain bytes of compressed `chunks`.
 *
 * @throws (while read) NspawnError `BAD_COMPRESSION` when the data are damaged; what `chunks` throws
 */
export async function* decompress(
  chunks: AsyncIterable<Uint8Array>,
  ending: CompressionEnding,
): AsyncGenerator<Uint8Array> {
  if (ending === '.xz') await loadXz()
  const input = Readable.from(chunks, { objectMode: false })
  let broken: Error | undefined
  input.on('error', (error) => (broken = error))
  try {
    yield* await plainStream(input, ending)
  } catch (error) {
    if (broken !== undefined) throw broken
    throw new NspawnError(`cannot decompress: ${(error as Error).message.toLowerCase()}`, {
      code: 'BAD_COMPRESSION',
      operation: 'decompress',
      subject: ending,
    })
  } finally {
    input.destroy()
  }
}

async function plainStream(
  input: Readable,
  ending: CompressionEnding,
): Promise<AsyncIterable<Uint8Array>> {
  switch (ending) {
    case '':
      return input
    case '.gz': {
      const gunzip = createGunzip()
      input.on('error', (error) => gunzip.destroy(error))
      return input.pipe(gunzip)
    }
    case '.xz': {
      const { XzReadableStream } = await loadXz()
      return new XzReadableStream(Readable.toWeb(input))
    }
  }
}

// The package is CommonJS whose names Node cannot see, but whose types say that it can.
async function loadXz(): Promise<typeof Xz> {
  const module = await import('xz-decompress')
  return (module as unknown as { default?: typeof Xz }).default ?? module
}
