/**
 * The signed top of an archive's suite: `InRelease` names every index of the suite with its hash, so
 * whoever trusts its signature can trust all that hangs on it (wiki.debian.org/DebianRepository/Format).
 */
import { NspawnError } from '../../errors.ts'
import { stripArmour } from '../../transfer/clearsign.ts'
import { fetchText } from '../../transfer/download.ts'
import { parseUrl, withoutSecrets } from '../../transfer/url.ts'
import { Paragraph, parseDeb822 } from './deb822.ts'
import { digestFields, readDigest, type Digest } from './digest.ts'
import { notCached, type ArchiveCache } from './archive-cache.ts'
import { verifyWithKeyrings } from './keyrings.ts'
import { Mirrors, type Patience } from './mirrors.ts'

export interface SuiteSource {
  /** The archive's root. */
  readonly uri: string
  readonly suite: string
  /** Absolute paths on the host of the keyrings that its index must be signed with. */
  readonly keyrings: readonly string[]
  /** Default `required`. */
  readonly signatures?: 'required' | 'ignored' | undefined
  /** Whether an index past its `Valid-Until` counts, as that of an archive's snapshot; default `refused`. */
  readonly outdated?: 'refused' | 'accepted' | undefined
  /** Keeps what was fetched. */
  readonly cache?: ArchiveCache | undefined
  /** `forbidden`: what is not on this host is taken from the cache; default `allowed`. */
  readonly network?: 'allowed' | 'forbidden' | undefined
  readonly patience?: Patience | undefined
  /** All places that have this archive; default `uri` alone. */
  readonly mirrors?: Mirrors | undefined
}

export interface IndexFile {
  readonly sizeBytes: number
  readonly digest: Digest
}

export interface SuiteRelease {
  readonly suite: string
  /** The archive's root. */
  readonly base: URL
  /** All of its roots; file names of packages are relative to any of them. */
  readonly mirrors: Mirrors
  /** Where the indexes lie; ends with a slash. */
  readonly directory: URL
  readonly fields: Paragraph
  /** The keys that vouch for it; none when signatures are ignored. */
  readonly signers: readonly string[]
  /** The indexes by their paths below `directory`. */
  readonly files: ReadonlyMap<string, IndexFile>
}

const releaseLimitBytes = 32 * 1024 ** 2

/** How far a clock may be behind the archive's. */
const dayMs = 24 * 3600 * 1000

/**
 * Fetches and checks the index of a suite.
 *
 * @throws NspawnError `SIGNER_UNKNOWN` when only keys that the keyrings lack have signed it, `SIGNATURE_INVALID` when
 *   its signature does not hold or is not there, `INDEX_REFUSED` when it is too old, from the future or another suite's;
 *   what `fetchText()` throws
 */
export async function fetchRelease(
  source: SuiteSource,
  signal?: AbortSignal,
): Promise<SuiteRelease> {
  const base = archiveRoot(source.uri)
  const directory = new URL(`dists/${source.suite}/`, base)
  const { url, raw, text, signers } = await releaseText(source, directory, signal)
  const fields = parseDeb822(text, withoutSecrets(directory))[0] ?? new Paragraph()
  checkRelease(fields, source, directory)
  if (!isHere(source, url)) await source.cache?.keepRelease(url, raw)
  return {
    suite: source.suite,
    base,
    mirrors: source.mirrors ?? new Mirrors([base]),
    directory,
    fields,
    signers,
    files: filesOf(fields),
  }
}

/** @throws NspawnError `BAD_URL` */
export function archiveRoot(uri: string): URL {
  return parseUrl(uri.endsWith('/') ? uri : `${uri}/`)
}

/** Whether the file is taken from this host. */
function isHere({ network }: SuiteSource, url: URL): boolean {
  return network === 'forbidden' || url.protocol === 'file:'
}

interface ReleaseText {
  readonly url: URL
  /** With its signature. */
  readonly raw: string
  readonly text: string
  readonly signers: readonly string[]
}

async function releaseText(
  source: SuiteSource,
  directory: URL,
  signal: AbortSignal | undefined,
): Promise<ReleaseText> {
  const named = async (name: string) => {
    const url = new URL(name, directory)
    return { url, raw: await rawText(source, url, signal) }
  }
  if (source.signatures !== 'ignored') {
    const found = await named('InRelease')
    return { ...found, ...(await signedText(found.raw, source, found.url)) }
  }
  try {
    const found = await named('InRelease')
    return { ...found, text: stripArmour(found.raw), signers: [] }
  } catch (error) {
    // An archive without signatures has the plain file only.
    if (!['NOT_FOUND', 'NOT_CACHED'].includes((error as NspawnError).code)) throw error
    const found = await named('Release')
    return { ...found, text: found.raw, signers: [] }
  }
}

async function rawText(
  source: SuiteSource,
  url: URL,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (source.network !== 'forbidden' || url.protocol === 'file:')
    return fetchText({ url, maxBytes: releaseLimitBytes, signal, ...source.patience })
  const kept = await source.cache?.release(url)
  if (kept === undefined) throw notCached(`the index of ${source.suite}`, url)
  return kept
}

async function signedText(
  raw: string,
  source: SuiteSource,
  url: URL,
): Promise<Pick<ReleaseText, 'text' | 'signers'>> {
  const verdict = await verifyWithKeyrings(raw, source.keyrings, { expiredKeys: 'refuse' })
  const fail = (why: string, hint: string, code = 'SIGNATURE_INVALID') =>
    new NspawnError(`the index of ${source.suite} ${why}`, {
      code,
      operation: 'check signature',
      subject: withoutSecrets(url),
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
        "install the archive's keyring, or name it",
        'SIGNER_UNKNOWN',
      )
    case 'valid':
      return verdict
  }
}

function checkRelease(fields: Paragraph, source: SuiteSource, directory: URL): void {
  const { suite } = source
  const names = [fields.get('Suite'), fields.get('Codename')].filter((name) => name !== undefined)
  const fail = (
    why: string,
    hint = 'the mirror serves something else, or the clock of this host is wrong',
  ) =>
    new NspawnError(`the index of ${suite} ${why}`, {
      code: 'INDEX_REFUSED',
      operation: 'check index',
      subject: withoutSecrets(directory),
      hint,
    })
  // A signed index of another suite, or of long ago, would pass the signature check.
  if (names.length > 0 && !names.includes(suite)) throw fail(`says it is ${names.join(', ')}`)
  // With a clock that stands still, an index would be good for ever.
  const made = Date.parse(fields.get('Date') ?? '')
  if (made > Date.now() + dayMs)
    throw fail(`is of ${new Date(made).toISOString()}`, 'the clock of this host is behind: set it')
  const validUntil = fields.get('Valid-Until')
  if (validUntil === undefined) return
  const until = Date.parse(validUntil)
  if (Number.isNaN(until)) throw fail(`has a Valid-Until that is no date: ${validUntil}`)
  // What is in the cache was in time when it was fetched.
  if (until >= Date.now() || source.outdated === 'accepted' || source.network === 'forbidden')
    return
  throw fail(
    `was valid until ${new Date(until).toISOString()}, and the mirror has nothing newer`,
    'take a mirror that is up to date, or set the clock of this host; for a mirror that stands still on purpose there is --no-check-valid-until',
  )
}

/** The files of the section with the best hashes. */
function filesOf(fields: Paragraph): ReadonlyMap<string, IndexFile> {
  const files = new Map<string, IndexFile>()
  const field = digestFields.find((name) => fields.get(name) !== undefined) ?? 'SHA256'
  for (const line of (fields.get(field) ?? '').split('\n')) {
    const [hash, size, path] = line.trim().split(/\s+/)
    if (hash === undefined || size === undefined || path === undefined) continue
    const digest = readDigest(field, hash)
    if (digest !== undefined) files.set(path, { digest, sizeBytes: Number(size) })
  }
  return files
}
