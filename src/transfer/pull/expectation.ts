/**
 * What a file must be to be taken: the checksum that the user gave, or the one of a list that lies beside the file,
 * itself signed or not. Fetched while the file comes in, and compared when both are there.
 */
import { NspawnError } from '../../errors.ts'
import type { LogSink } from '../../log.ts'
import { stripArmour } from '../clearsign.ts'
import { fetchBytes } from '../download.ts'
import { withoutSecrets } from '../url.ts'
import { companionUrl, lastPart, signaturesOf } from './address.ts'
import { bareChecksum, checksumsOf } from './checksum-list.ts'
import { chooseKeyring, verifyDetached, verifyInline, type Keyring } from './keyring.ts'

export type Verification =
  | { readonly mode: 'no' }
  | { readonly mode: 'checksum' }
  /** @param keyring the one that the user named, else the host's */
  | { readonly mode: 'signature'; readonly keyring?: string | undefined }
  /** 64 lower-case hexadecimal digits. */
  | { readonly mode: 'sha256'; readonly sha256: string }

/** The checksums that are known. */
export interface Expectation {
  /** Where they are from, for messages. */
  readonly source: string
  /** Keys that vouch for them. */
  readonly signers: readonly string[]
  /** Those of the file of that name; empty where the list has none. */
  of(fileName: string): readonly string[]
}

interface Fetching {
  readonly url: URL
  readonly signal: AbortSignal
  readonly log: LogSink
}

const limitBytes = 1024 ** 2

/**
 * Fetches what the verification needs.
 *
 * @param lists names of lists of checksums beside the image, the first that is there counts
 * @returns undefined when nothing is to be checked
 * @throws NspawnError `CHECKSUM_NOT_FOUND`, `SIGNATURE_NOT_FOUND`, `SIGNATURE_INVALID`, `KEYRING_NOT_FOUND`, what
 *   `fetchBytes()` throws
 */
export async function fetchExpectation(
  verification: Verification,
  lists: readonly string[],
  fetching: Fetching,
): Promise<Expectation | undefined> {
  const fileName = lastPart(fetching.url)
  switch (verification.mode) {
    case 'no':
      return undefined
    case 'sha256':
      return {
        source: 'the checksum that was given',
        signers: [],
        of: (name) => (name === fileName ? [verification.sha256] : []),
      }
    case 'checksum': {
      const list = await fetchList(lists, fetching)
      return expectation(list, stripArmour(list.bytes.toString('utf8')), [], fileName)
    }
    case 'signature': {
      const keyring = await chooseKeyring(verification.keyring)
      const list = await fetchList(lists, fetching)
      const { text, signers } = await signedText(list, keyring, fetching)
      return expectation(list, text, signers, fileName)
    }
  }
}

/**
 * Compares a file with what was expected of it.
 *
 * @param listed what to say of a file that the list does not name: `must` refuses it
 * @returns whether the list vouches for it
 * @throws NspawnError `CHECKSUM_MISMATCH`, `CHECKSUM_NOT_FOUND`
 */
export function checkAgainst(
  expected: Expectation,
  file: { readonly name: string; readonly sha256: string; readonly listed: 'must' | 'may' },
): 'listed' | 'unlisted' {
  const sums = namesOf(file.name).flatMap((name) => expected.of(name))
  if (sums.includes(file.sha256)) return 'listed'
  if (sums.length > 0) {
    throw new NspawnError(
      `${file.name} is not what ${expected.source} says: its sha256 is ${file.sha256}, expected is ${sums.join(' or ')}`,
      {
        code: 'CHECKSUM_MISMATCH',
        operation: 'check sha256',
        hint: 'it was changed or damaged on the way, or the server is in the middle of an update',
      },
    )
  }
  if (file.listed === 'may') return 'unlisted'
  throw new NspawnError(`${expected.source} has no checksum of ${file.name}`, {
    code: 'CHECKSUM_NOT_FOUND',
    operation: 'check sha256',
    hint: 'give it with --verify=SHA256, or take the file unchecked with --verify=no',
  })
}

/** As it is written in the address, and what that means. */
function namesOf(name: string): string[] {
  try {
    return [...new Set([name, decodeURIComponent(name)])]
  } catch {
    return [name]
  }
}

interface List {
  readonly name: string
  readonly url: URL
  readonly bytes: Buffer
}

function expectation(
  list: List,
  text: string,
  signers: readonly string[],
  fileName: string,
): Expectation {
  const bare = list.name === `${fileName}.sha256` ? bareChecksum(text) : undefined
  return {
    source: withoutSecrets(list.url),
    signers,
    of: (name) =>
      bare !== undefined && namesOf(fileName).includes(name) ? [bare] : checksumsOf(text, name),
  }
}

async function fetchList(names: readonly string[], fetching: Fetching): Promise<List> {
  const list = await fetchFirst(names, fetching)
  if (list !== undefined) return list
  throw new NspawnError('the server has no checksum to verify the file with', {
    code: 'CHECKSUM_NOT_FOUND',
    operation: 'GET',
    subject: names.map((name) => withoutSecrets(companionUrl(fetching.url, name))).join(', '),
    hint: 'give it with --verify=SHA256, or take the file unchecked with --verify=no',
  })
}

async function signedText(
  list: List,
  keyring: Keyring,
  fetching: Fetching,
): Promise<{ text: string; signers: readonly string[] }> {
  const text = list.bytes.toString('utf8')
  const inline = await verifyInline(text, keyring)
  if (inline !== undefined)
    return { text: inline.text ?? '', signers: accept(inline, list, keyring) }
  const names = signaturesOf(list.name)
  const signature = await fetchFirst(names, fetching)
  if (signature === undefined) {
    throw new NspawnError('the server has no signature to verify the checksum with', {
      code: 'SIGNATURE_NOT_FOUND',
      operation: 'GET',
      subject: names.map((name) => withoutSecrets(companionUrl(fetching.url, name))).join(', '),
      hint: 'trust the server alone with --verify=checksum, or give the checksum with --verify=SHA256',
    })
  }
  const judgement = await verifyDetached(list.bytes, signature.bytes, keyring)
  return { text, signers: accept(judgement, list, keyring) }
}

function accept(
  judgement: Awaited<ReturnType<typeof verifyDetached>>,
  list: List,
  keyring: Keyring,
): readonly string[] {
  if (judgement.state === 'valid') return judgement.signers
  const why =
    judgement.state === 'bad'
      ? `has a signature that does not hold: ${judgement.why}`
      : `is signed by a key that the keyring ${keyring.path} does not have (${judgement.keys.join(', ')})`
  throw new NspawnError(`${withoutSecrets(list.url)} ${why}`, {
    code: 'SIGNATURE_INVALID',
    operation: 'check signature',
    hint:
      judgement.state === 'bad'
        ? 'do not use the image: somebody may have changed it'
        : "name the publisher's keyring with --keyring=",
  })
}

/** The first of the files that is there. */
async function fetchFirst(
  names: readonly string[],
  { url, signal }: Fetching,
): Promise<List | undefined> {
  for (const name of names) {
    const place = companionUrl(url, name)
    try {
      const bytes = await fetchBytes({ url: place, maxBytes: limitBytes, signal })
      return { name, url: place, bytes }
    } catch (error) {
      if ((error as NspawnError).code !== 'NOT_FOUND') throw error
    }
  }
  return undefined
}
