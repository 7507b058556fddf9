/** Streams an index of an archive paragraph by paragraph, for those that want few of its tens of thousands. */
import { pathToFileURL } from 'node:url'
import { NspawnError } from '../../errors.ts'
import { findProgram } from '../../find-program.ts'
import type { LogSink } from '../../log.ts'
import { openPlain } from '../../transfer/decompress.ts'
import { openContent, type SteadyStream } from '../../transfer/steady-stream.ts'
import { withoutSecrets } from '../../transfer/url.ts'
import { notCached, type ArchiveCache, type Incoming } from './archive-cache.ts'
import { hashing } from './digest.ts'
import type { Patience } from './mirrors.ts'
import type { IndexFile, SuiteRelease } from './release.ts'

export interface SignedIndex extends IndexFile {
  /** The names that the file may have, the better one first. */
  readonly urls: readonly [URL, ...URL[]]
}

/** How an index is brought here. */
export interface IndexReading {
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
  /** Keeps what was fetched, and has what was fetched before. */
  readonly cache?: ArchiveCache | undefined
  /** `forbidden`: what is not on this host is taken from the cache; default `allowed`. */
  readonly network?: 'allowed' | 'forbidden' | undefined
  readonly patience?: Patience | undefined
}

/** The smallest form is the best where a program of the host is there to read it fast. */
function endings(): readonly string[] {
  return findProgram('xz') === undefined ? ['.gz', '.xz', ''] : ['.xz', '.gz', '']
}

/**
 * The index at `path`, in the form that is cheapest to get and to read.
 *
 * @param path below the suite's directory, without ending (`main/binary-amd64/Packages`)
 * @param base the archive's root at one of its mirrors; default the one that the release came from
 */
export function findIndex(
  release: SuiteRelease,
  path: string,
  base: URL = release.base,
): SignedIndex | undefined {
  const ending = endings().find((one) => release.files.has(path + one))
  const file = ending === undefined ? undefined : release.files.get(path + ending)
  if (file === undefined) return undefined
  const plain = new URL(path + ending, new URL(`dists/${release.suite}/`, base))
  if (release.fields.get('Acquire-By-Hash') !== 'yes') return { ...file, urls: [plain] }
  const { algorithm, hex } = file.digest
  // What is named by its hash stays where it is while the mirror is being updated.
  return { ...file, urls: [new URL(`by-hash/${algorithm.toUpperCase()}/${hex}`, plain), plain] }
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
  options: IndexReading,
): AsyncGenerator<readonly string[]> {
  const kept = await options.cache?.index(index.digest)
  const stream = await openFirst(index, kept, options)
  const incoming =
    kept === undefined && index.urls[0].protocol !== 'file:'
      ? await options.cache?.incoming(index.digest)
      : undefined
  try {
    yield* readStream(index, stream, incoming, options)
    await incoming?.keep()
  } finally {
    await incoming?.drop()
  }
}

async function* readStream(
  index: SignedIndex,
  stream: SteadyStream,
  incoming: Incoming | undefined,
  { signal }: IndexReading,
): AsyncGenerator<readonly string[]> {
  let rest = ''
  const { algorithm } = index.digest
  // The stream has counted the one that nearly all archives have.
  const hashed =
    algorithm === 'sha256'
      ? { chunks: stream.chunks, hex: () => stream.sha256() }
      : hashing(algorithm, stream.chunks)
  try {
    const compressed = incoming === undefined ? hashed.chunks : keeping(hashed.chunks, incoming)
    const { chunks } = await openPlain(compressed, { signal })
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
  if (stream.sizeBytes() !== index.sizeBytes || hashed.hex() !== index.digest.hex)
    throw notTheSigned(index)
  if (rest.trim() !== '') yield [rest.trimEnd()]
}

async function* keeping(chunks: AsyncIterable<Buffer>, place: Incoming): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await place.write(chunk)
    yield chunk
  }
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
  kept: string | undefined,
  { signal, log, network, patience }: IndexReading,
): Promise<SteadyStream> {
  const [first, second] = kept === undefined ? index.urls : [pathToFileURL(kept)]
  if (network === 'forbidden' && first.protocol !== 'file:')
    throw notCached('an index of packages', index.urls.at(-1)!)
  const open = async (url: URL) =>
    openContent({ url, sizeBytes: index.sizeBytes, signal, log, ...patience })
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
    operation: `check ${index.digest.algorithm}`,
    subject: withoutSecrets(index.urls.at(-1)!),
    hint: 'the mirror may be in the middle of an update: try again in some minutes',
    cause,
  })
}
