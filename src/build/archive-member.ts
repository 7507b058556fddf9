/** Small files out of archives that nobody vouches for, read without unpacking anything. */
import { NspawnError } from '../errors.ts'
import { openPlain } from '../transfer/decompress.ts'
import { TarReader, type TarEntry } from '../transfer/tar/reader.ts'

export interface MemberWishes {
  /** Whether it is this one; paths come as the archive has them. */
  isWanted(path: string): boolean
  /** A larger one is refused. */
  readonly maxBytes: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The first member of a tar archive that is wanted, as text; `undefined` when there is none. Nothing behind it is read.
 *
 * @param chunks the archive, compressed or not
 * @throws NspawnError `TOO_LARGE`, `BAD_ARCHIVE`, what `openPlain()` throws
 */
export async function readTarMember(
  chunks: AsyncIterable<Uint8Array>,
  { isWanted, maxBytes, signal }: MemberWishes,
): Promise<string | undefined> {
  const pieces: Buffer[] = []
  const state = { found: false, wanted: false, complete: false }
  const reader = new TarReader(
    {
      begin: ({ type, path, stored }: TarEntry) => {
        state.wanted = !state.found && type === 'file' && isWanted(path)
        state.found ||= state.wanted
        if (state.wanted && stored > maxBytes)
          throw new NspawnError(`it has more than ${maxBytes} bytes`, {
            code: 'TOO_LARGE',
            operation: 'read archive',
            subject: path,
          })
      },
      data: (bytes) => {
        if (state.wanted) pieces.push(Buffer.from(bytes))
      },
      end: () => {
        state.complete ||= state.wanted
        state.wanted = false
      },
    },
    { end: 'optional', warn: () => {} },
  )
  const plain = await openPlain(chunks, { signal })
  for await (const chunk of plain.chunks) {
    reader.push(chunk)
    if (state.complete) break
  }
  if (!state.complete) reader.finish()
  return state.complete ? Buffer.concat(pieces).toString('utf8') : undefined
}
