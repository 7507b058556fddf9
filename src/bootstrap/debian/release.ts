/**
 * The signed top of an archive's suite: `InRelease` names every index of the suite with its hash, so
 * whoever trusts its signature can trust all that hangs on it (wiki.debian.org/DebianRepository/Format).
 */
import { NspawnError } from '../../errors.ts'
import { stripArmour } from '../../transfer/clearsign.ts'
import { fetchText } from '../../transfer/download.ts'
import { parseUrl } from '../../transfer/url.ts'
import { Paragraph, parseDeb822 } from './deb822.ts'
import { verifyWithKeyrings } from './keyrings.ts'

export interface SuiteSource {
  /** The archive's root. */
  readonly uri: string
  readonly suite: string
  /** Absolute paths on the host of the keyrings that its index must be signed with. */
  readonly keyrings: readonly string[]
  /** Default `required`. */
  readonly signatures?: 'required' | 'ignored' | undefined
}

export interface IndexFile {
  readonly sizeBytes: number
  readonly sha256: string
}

export interface SuiteRelease {
  readonly suite: string
  /** The archive's root; file names of packages are relative to it. */
  readonly base: URL
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
  const base = parseUrl(source.uri.endsWith('/') ? source.uri : `${source.uri}/`)
  const directory = new URL(`dists/${source.suite}/`, base)
  const { text, signers } = await releaseText(source, directory, signal)
  const fields = parseDeb822(text, directory.href)[0] ?? new Paragraph()
  checkRelease(fields, source, directory)
  return { suite: source.suite, base, directory, fields, signers, files: filesOf(fields) }
}

interface ReleaseText {
  readonly text: string
  readonly signers: readonly string[]
}

async function releaseText(
  source: SuiteSource,
  directory: URL,
  signal: AbortSignal | undefined,
): Promise<ReleaseText> {
  const fetch = (name: string) =>
    fetchText({ url: new URL(name, directory), maxBytes: releaseLimitBytes, signal })
  if (source.signatures !== 'ignored') {
    return signedText(await fetch('InRelease'), source, new URL('InRelease', directory))
  }
  try {
    return { text: stripArmour(await fetch('InRelease')), signers: [] }
  } catch (error) {
    // An archive without signatures has the plain file only.
    if ((error as NspawnError).code !== 'NOT_FOUND') throw error
    return { text: await fetch('Release'), signers: [] }
  }
}

async function signedText(raw: string, source: SuiteSource, url: URL): Promise<ReleaseText> {
  const verdict = await verifyWithKeyrings(raw, source.keyrings, { expiredKeys: 'refuse' })
  const fail = (why: string, hint: string, code = 'SIGNATURE_INVALID') =>
    new NspawnError(`the index of ${source.suite} ${why}`, {
      code,
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
        "install the archive's keyring, or name it",
        'SIGNER_UNKNOWN',
      )
    case 'valid':
      return verdict
  }
}

function checkRelease(fields: Paragraph, { suite }: SuiteSource, directory: URL): void {
  const names = [fields.get('Suite'), fields.get('Codename')].filter((name) => name !== undefined)
  const fail = (
    why: string,
    hint = 'the mirror is out of date or serves something else, or the clock of this host is wrong',
  ) =>
    new NspawnError(`the index of ${suite} ${why}`, {
      code: 'INDEX_REFUSED',
      operation: 'check index',
      subject: directory.href,
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
  if (until < Date.now()) throw fail(`was valid until ${new Date(until).toISOString()}`)
}

/** The files of the SHA256 section. */
function filesOf(fields: Paragraph): ReadonlyMap<string, IndexFile> {
  const files = new Map<string, IndexFile>()
  for (const line of (fields.get('SHA256') ?? '').split('\n')) {
    const [sha256, size, path] = line.trim().split(/\s+/)
    if (sha256 !== undefined && size !== undefined && path !== undefined)
      files.set(path, { sha256, sizeBytes: Number(size) })
  }
  return files
}
