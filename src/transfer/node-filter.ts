/** A stream of bytes through a transform of Node's, as `throughProgram()` does it through a program of the host. */
import { Readable, type Duplex } from 'node:stream'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import type { HostFilterOptions } from './host-filter.ts'

/**
 * What the transform makes of `chunks`, which are read to their end, whatever it takes. It works in Node's thread pool,
 * and is destroyed when the reader stops.
 *
 * @throws (while read) NspawnError with `code` when it fails; `CANCELED`; what `chunks` throws
 */
export async function* throughNode(
  transform: Duplex,
  chunks: AsyncIterable<Uint8Array>,
  { purpose, code, signal }: Omit<HostFilterOptions, 'chunks'>,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(chunks, { objectMode: false })
  let broken: { readonly error: unknown } | undefined
  input.on('error', (error) => {
    broken ??= { error }
    transform.destroy(error)
  })
  const cancel = () => transform.destroy(new Error('canceled'))
  signal?.addEventListener('abort', cancel)
  try {
    yield* input.pipe(transform) as AsyncIterable<Uint8Array>
    if (!input.readableEnded) for await (const _ of input.unpipe(transform));
  } catch (error) {
    throwIfCanceled(signal, purpose)
    if (broken !== undefined) throw broken.error
    throw new NspawnError(`cannot ${purpose}: ${(error as Error).message.toLowerCase()}`, {
      code,
      operation: purpose,
    })
  } finally {
    signal?.removeEventListener('abort', cancel)
    input.destroy()
    transform.destroy()
  }
}
