/**
 * Finds a source package by name in an archive: the signed InRelease vouches for the Sources index,
 * that one for the `.dsc`, and that one for the files. Every link of the chain is checked.
 */
import { NspawnError } from '../../errors.ts'
import { silent, type LogSink } from '../../log.ts'
import { verifyClearsigned } from '../../transfer/clearsign.ts'
import { openPlain } from '../../transfer/decompress.ts'
import { fetchText } from '../../transfer/download.ts'
import { openContent, type SteadyStream } from '../../transfer/steady-stream.ts'
import { parseUrl } from '../../transfer/url.ts'
import type { AptSuite } from './apt-sources.ts'
import { parseDeb822, type Paragraph } from './deb822.ts'
import type { IndexCache } from './index-cache.ts'
import { listedFiles, type ListedFile } from './file-list.ts'
import { compareVersions } from './version.ts'

export interface FoundSource {
  readonly name: string
  readonly version: string
  /** Where its files lie; ends with a slash. */
  readonly directory: URL
  /** The `.dsc` among them. */
  readonly dsc: ListedFile
  readonly files: readonly ListedFile[]
  /** The suite it was found in, and the keys that signed that suite's index. */
  readonly suite: string
  readonly signers: readonly string[]
}

export interface SourceSearch {
  readonly name: string
  /** Only this version; default the newest. */
  readonly version?: string | undefined
  readonly suites: readonly AptSuite[]
  readonly cache?: IndexCache | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/** Of indexes, the cheapest to read first. */
const compressionEndings = ['.gz', '.xz', ''] as const

const releaseLimitBytes = 32 * 1024 ** 2

/**
 * The newest source package of that name in any of the suites.
 *
 * @throws NspawnError `SOURCE_NOT_FOUND`; `SIGNATURE_INVALID` and `CHECKSUM_MISMATCH` when an index
 *   cannot be trusted; what `fetchText()` throws
 */
export async function findSource(search: SourceSearch): Promise<FoundSource> {
  const log = search.log ?? silent
  let best: FoundSource | undefined
  for (const suite of search.suites) {
    log({ kind: 'step', text: `looking for ${search.name} in ${suite.suite}` })
    for (const found of await searchSuite(search, suite)) {
      if (best === undefined || compareVersions(found.version, best.version) > 0) best = found
    }
  }
  if (best !== undefined) return best
  const wanted = search.version === undefined ? search.name : `${search.name} ${search.version}`
  const names = search.suites.map(({ suite }) => suite).join(', ')
  throw new NspawnError(
    `there is no source package ${wanted} in ${names || 'the package sources of the tree'}`,
    {
      code: 'SOURCE_NOT_FOUND',
      operation: 'find source package',
      subject: search.name,
      hint: 'check the name, or give the .dsc by path or URL',
    },
  )
}

async function searchSuite(search: SourceSearch, suite: AptSuite): Promise<FoundSource[]> {
  const base = parseUrl(suite.uri.endsWith('/') ? suite.uri : `${suite.uri}/`)
  const release = new URL(`dists/${suite.suite}/`, base)
  const { text, signers } = await signedRelease(search, suite, new URL('InRelease', release))
  const indexes = releaseHashes(text)
  const found: FoundSource[] = []
  for (const component of suite.components) {
    const path = `${component}/source/Sources`
    const ending = compressionEndings.find((one) => indexes.has(path + one))
    if (ending === undefined) continue
    const index = indexes.get(path + ending)
    if (index === undefined) continue
    const url = new URL(path + ending, release)
    for (const paragraph of await readSources(search, url, index)) {
      const version = paragraph.get('Version') ?? ''
      if (search.version !== undefined && search.version !== version) continue
      found.push({ ...describe(paragraph, base, url.href), version, suite: suite.suite, signers })
    }
  }
  return found
}

async function signedRelease(
  search: SourceSearch,
  suite: AptSuite,
  url: URL,
): Promise<{ text: string; signers: readonly string[] }> {
  const raw = await fetchText({ url, maxBytes: releaseLimitBytes, signal: search.signal })
  const verdict = await verifyClearsigned(raw, suite.keyrings)
  const fail = (why: string, hint: string) =>
    new NspawnError(`the index of ${suite.suite} ${why}`, {
      code: 'SIGNATURE_INVALID',
      operation: 'check signature',
      subject: url.href,
      hint,
    })
  switch (verdict.state) {
    case 'unsigned':
      throw fail('is not signed', 'use another mirror')
    case 'bad':
      throw fail(`has a bad signature: ${verdict.why}`, 'use another mirror')
    case 'unknown-key':
      throw fail(
        `is signed by unknown keys (${verdict.keys.join(', ')})`,
        "install the archive's keyring in the tree",
      )
    case 'valid':
      checkRelease(verdict.text, suite, url)
      return verdict
  }
}

function checkRelease(text: string, suite: AptSuite, url: URL): void {
  const paragraph = parseDeb822(text, url.href)[0]
  const names = [paragraph?.get('Suite'), paragraph?.get('Codename')].filter(
    (name) => name !== undefined,
  )
  const fail = (why: string) =>
    new NspawnError(`the index of ${suite.suite} ${why}`, {
      code: 'SIGNATURE_INVALID',
      operation: 'check index',
      subject: url.href,
      hint: 'the mirror is out of date or serves something else: use another one',
    })
  // A signed index of another suite, or of long ago, would pass the signature check.
  if (names.length > 0 && !names.includes(suite.suite)) throw fail(`says it is ${names.join(', ')}`)
  const until = Date.parse(paragraph?.get('Valid-Until') ?? '')
  if (until < Date.now()) throw fail(`was valid until ${new Date(until).toISOString()}`)
}

interface IndexFile {
  readonly sizeBytes: number
  readonly sha256: string
}

/** The files that a Release names in its SHA256 section, by path. */
export function releaseHashes(text: string): ReadonlyMap<string, IndexFile> {
  const list = parseDeb822(text, 'InRelease')[0]?.get('SHA256') ?? ''
  const files = new Map<string, IndexFile>()
  for (const line of list.split('\n')) {
    const [sha256, size, path] = line.trim().split(/\s+/)
    if (sha256 !== undefined && size !== undefined && path !== undefined)
      files.set(path, { sha256, sizeBytes: Number(size) })
  }
  return files
}

/** What the index says about the name: remembered, or read now. */
async function readSources(
  search: SourceSearch,
  url: URL,
  index: IndexFile,
): Promise<readonly Paragraph[]> {
  const { cache, name } = search
  const known = await cache?.find(index.sha256, name)
  const text = known ?? (await scanSources(search, url, index))
  if (known === undefined) await cache?.keep(index.sha256, name, text)
  return parseDeb822(text, url.href)
}

// An index has tens of thousands of paragraphs and two of them are wanted: it is cut at the empty
// lines while it streams in, and only a paragraph that has the name is read. What was found is handed
// out only after the hash of the whole has been seen to be right.
async function scanSources(search: SourceSearch, url: URL, index: IndexFile): Promise<string> {
  const heading = `\nPackage: ${search.name}\n`
  const found: string[] = []
  const decoder = new TextDecoder()
  let rest = ''
  let stream: SteadyStream | undefined
  try {
    stream = await openContent({
      url,
      sizeBytes: index.sizeBytes,
      signal: search.signal,
      log: search.log,
    })
    const { chunks } = await openPlain(stream.chunks, { signal: search.signal })
    for await (const bytes of chunks) {
      const pieces = (rest + decoder.decode(bytes, { stream: true })).split('\n\n')
      rest = pieces.pop() ?? ''
      for (const piece of pieces) if (`\n${piece}\n`.includes(heading)) found.push(piece)
    }
  } catch (error) {
    // What the archive signed can be decompressed, has its size, and does not change.
    const wrong = ['BAD_COMPRESSION', 'SIZE_MISMATCH', 'FILE_CHANGED']
    if (wrong.includes((error as NspawnError).code)) throw notTheSigned(url, error)
    throw error
  }
  if (`\n${rest}\n`.includes(heading)) found.push(rest)
  if (stream.sizeBytes() !== index.sizeBytes || stream.sha256() !== index.sha256)
    throw notTheSigned(url)
  return found.join('\n\n')
}

function notTheSigned(url: URL, cause?: unknown): NspawnError {
  return new NspawnError('the index of source packages is not the one that was signed', {
    code: 'CHECKSUM_MISMATCH',
    operation: 'check sha256',
    subject: url.href,
    hint: 'the mirror may be in the middle of an update: try again in some minutes',
    cause,
  })
}

function describe(
  paragraph: Paragraph,
  base: URL,
  subject: string,
): Pick<FoundSource, 'name' | 'directory' | 'dsc' | 'files'> {
  const files = listedFiles(paragraph, subject)
  const dsc = files.find(({ name }) => name.endsWith('.dsc'))
  const place = paragraph.get('Directory')
  if (dsc === undefined || place === undefined || place.split('/').includes('..')) {
    throw new NspawnError('the index has no .dsc or no directory for it', {
      code: 'BAD_CONTROL',
      operation: 'find source package',
      subject,
    })
  }
  return { name: paragraph.get('Package') ?? '', directory: new URL(`${place}/`, base), dsc, files }
}
