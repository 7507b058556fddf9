/** Streams an index of an archive paragraph by paragraph, for those that want few of its tens of thousands. */
import { NspawnError } from '../../errors.ts'
import { findProgram } from '../../find-program.ts'
import type { LogSink } from '../../log.ts'
import { openPlain } from '../../transfer/decompress.ts'
import { openContent, type SteadyStream } from '../../transfer/steady-stream.ts'
import type { IndexFile, SuiteRelease } from './release.ts'

export interface SignedIndex extends IndexFile {
  /** The names that the file may have, the better one first. */
  readonly urls: readonly [URL, ...URL[]]
}

/** The smallest form is the best where a program of the host is there to read it fast. */
function endings(): readonly string[] {
  return findProgram('xz') === undefined ? ['.gz', '.xz', ''] : ['.xz', '.gz', '']
}

/**
 * The index at `path`, in the form that is cheapest to get and to read.
 *
 * @param path below the suite's directory, without ending (`main/binary-amd64/Packages`)
 */
export function findIndex(release: SuiteRelease, path: string): SignedIndex | undefined {
  const ending = endings().find((one) => release.files.has(path + one))
  const file = ending === undefined ? undefined : release.files.get(path + ending)
  if (file === undefined) return undefined
  const plain = new URL(path + ending, release.directory)
  if (release.fields.get('Acquire-By-Hash') !== 'yes') return { ...file, urls: [plain] }
  // What is named by its hash stays where it is while the mirror is being updated.
  return { ...file, urls: [new URL(`by-hash/SHA256/${file.sha256}`, plain), plain] }
}

/**
 * The paragraphs of the index, as text, some at a time. They can be trusted only when the last has come:
 * the hash is over all of them.
 *
 * @throws (while read) NspawnError `CHECKSUM_MISMATCH` when it is not the index that was signed; what
 *   `openContent()` throws
 */
export async function* readIndex(
  index: SignedIndex,
  options: { readonly signal?: AbortSignal | undefined; readonly log?: LogSink | undefined },
): AsyncGenerator<readonly string[]> {
  const stream = await openFirst(index, options)
  let rest = ''
  try {
    const { chunks } = await openPlain(stream.chunks, { signal: options.signal })
    for await (const bytes of chunks) {
      // Names, versions and relations are ASCII; what is not is only passed over.
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
      const pieces = cutAtEmptyLines(rest, text)
      rest = pieces.pop() ?? ''
      if (pieces.length > 0) yield pieces
    }
  } catch (error) {
    // What the archive signed can be decompressed, has its size, and does not change.
    const wrong = ['BAD_COMPRESSION', 'SIZE_MISMATCH', 'FILE_CHANGED']
    if (wrong.includes((error as NspawnError).code)) throw notTheSigned(index, error)
    throw error
  }
  if (stream.sizeBytes() !== index.sizeBytes || stream.sha256() !== index.sha256)
    throw notTheSigned(index)
  if (rest.trim() !== '') yield [rest.trimEnd()]
}

/** What comes is not joined to what was there before but for one paragraph: it would all be copied. */
function cutAtEmptyLines(rest: string, text: string): string[] {
  if (rest.endsWith('\n') && text.startsWith('\n'))
    return [rest.slice(0, -1), ...text.slice(1).split('\n\n')]
  const end = text.indexOf('\n\n')
  if (end < 0) return [rest + text]
  return [rest + text.slice(0, end), ...text.slice(end + 2).split('\n\n')]
}

async function openFirst(
  index: SignedIndex,
  options: Parameters<typeof readIndex>[1],
): Promise<SteadyStream> {
  const [first, second] = index.urls
  const open = async (url: URL) => openContent({ url, sizeBytes: index.sizeBytes, ...options })
  try {
    return await open(first)
  } catch (error) {
    const { code } = error as NspawnError
    if (code === 'SIZE_MISMATCH') throw notTheSigned(index, error)
    if (second === undefined || code !== 'NOT_FOUND') throw error
    return open(second)
  }
}

function notTheSigned(index: SignedIndex, cause?: unknown): NspawnError {
  return new NspawnError('the index of packages is not the one that was signed', {
    code: 'CHECKSUM_MISMATCH',
    operation: 'check sha256',
    subject: index.urls.at(-1)!.href,
    hint: 'the mirror may be in the middle of an update: try again in some minutes',
    cause,
  })
}
