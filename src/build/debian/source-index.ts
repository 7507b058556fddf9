/**
 * Finds a source package by name in an archive: the signed InRelease vouches for the Sources index,
 * that one for the `.dsc`, and that one for the files. Every link of the chain is checked.
 */
import { parseDeb822, type Paragraph } from '../../bootstrap/debian/deb822.ts'
import { findIndex, readIndex, type SignedIndex } from '../../bootstrap/debian/index-stream.ts'
import { fetchRelease } from '../../bootstrap/debian/release.ts'
import { compareVersions, parseVersion } from '../../bootstrap/debian/version.ts'
import { NspawnError } from '../../errors.ts'
import { silent, type LogSink } from '../../log.ts'
import { withoutSecrets } from '../../transfer/url.ts'
import type { AptSuite } from '../installers/apt-sources.ts'
import { listedFiles, type ListedFile } from './file-list.ts'
import type { AnswerCache } from '../answer-cache.ts'

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
  /** Only versions with this upstream part. */
  readonly upstream?: string | undefined
  readonly suites: readonly AptSuite[]
  readonly cache?: AnswerCache | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/**
 * The newest source package of that name in any of the suites.
 *
 * @throws NspawnError `SOURCE_NOT_FOUND`; `SIGNER_UNKNOWN`, `SIGNATURE_INVALID`, `INDEX_REFUSED` and `CHECKSUM_MISMATCH` when
 *   an index cannot be trusted; what `fetchText()` throws
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
  const version = search.version ?? search.upstream
  const wanted = version === undefined ? search.name : `${search.name} ${version}`
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
  const release = await fetchRelease(suite, search.signal)
  const found: FoundSource[] = []
  for (const component of suite.components) {
    const index = findIndex(release, `${component}/source/Sources`)
    if (index === undefined) continue
    const url = withoutSecrets(index.urls.at(-1)!)
    for (const paragraph of await readSources(search, index, url)) {
      const version = paragraph.get('Version') ?? ''
      if (search.version !== undefined && search.version !== version) continue
      if (search.upstream !== undefined && search.upstream !== parseVersion(version).upstream)
        continue
      const { signers } = release
      found.push({
        ...describe(paragraph, release.base, url),
        version,
        suite: suite.suite,
        signers,
      })
    }
  }
  return found
}

/** What the index says about the name: remembered, or read now. */
async function readSources(
  search: SourceSearch,
  index: SignedIndex,
  subject: string,
): Promise<readonly Paragraph[]> {
  const { cache, name } = search
  const known = await cache?.find(index.digest.hex, name)
  const text = known ?? (await scanSources(search, index))
  if (known === undefined) await cache?.keep(index.digest.hex, name, text)
  return parseDeb822(text, subject)
}

// What was found is handed out only after the hash of the whole has been seen to be right.
async function scanSources(search: SourceSearch, index: SignedIndex): Promise<string> {
  const heading = `\nPackage: ${search.name}\n`
  const found: string[] = []
  const { signal, log } = search
  for await (const pieces of readIndex(index, { signal, log }))
    found.push(...pieces.filter((piece) => `\n${piece}\n`.includes(heading)))
  return found.join('\n\n')
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
