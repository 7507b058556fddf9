/**
 * OpenPGP clear-signed text (RFC 9580 section 7): taking it apart, and checking who signed it. Only
 * the text between the armour lines counts; what stands before or after it was signed by nobody, so
 * its presence is an error and never quietly skipped.
 */
import { readFile } from 'node:fs/promises'
import { NspawnError } from '../errors.ts'
import { runProgram } from '../process.ts'

export interface VerifiedText {
  /** What the signature covers; parse this and nothing else. */
  readonly text: string
  /** Key ids or fingerprints, hexadecimal upper case, of the signatures that hold. */
  readonly signers: readonly string[]
}

export type SignatureVerdict =
  | ({ readonly state: 'valid' } & VerifiedText)
  /** No signature at all. */
  | { readonly state: 'unsigned' }
  /** Signed, but by no key of the keyrings. */
  | { readonly state: 'unknown-key'; readonly keys: readonly string[] }
  /** A signature by a known key that does not hold: somebody changed the text. */
  | { readonly state: 'bad'; readonly why: string }

const begin = '-----BEGIN PGP SIGNED MESSAGE-----'
const signature = '-----BEGIN PGP SIGNATURE-----'
const end = '-----END PGP SIGNATURE-----'

/** Whether the text claims to be clear-signed. */
export function isClearsigned(text: string): boolean {
  return text.includes(begin)
}

/**
 * The signed text without its armour, unchecked; a text without armour is returned as it is.
 *
 * @throws NspawnError `BAD_ARMOUR` when armour is broken, or something stands outside of it
 */
export function stripArmour(text: string): string {
  if (!isClearsigned(text)) return text
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const first = lines.findIndex((line) => line.trim() !== '')
  const body = lines.indexOf('', first)
  const foot = lines.findIndex((line) => line.trimEnd() === signature)
  const last = lines.findIndex((line) => line.trimEnd() === end)
  const outside = lines.slice(last + 1).some((line) => line.trim() !== '')
  if (lines[first]?.trimEnd() !== begin || body < 0 || foot < body || last < foot || outside) {
    throw new NspawnError(
      'the clear-signed text is broken, or something stands outside of its armour',
      {
        code: 'BAD_ARMOUR',
        operation: 'read clear-signed text',
      },
    )
  }
  const signed = lines.slice(body + 1, foot)
  return `${signed.map((line) => (line.startsWith('- ') ? line.slice(2) : line)).join('\n')}\n`
}

/**
 * Checks a clear-signed text against keyrings (binary or armoured OpenPGP keys).
 *
 * @param keyrings absolute paths; an unreadable one is an error
 * @returns a verdict; only `valid` carries text
 */
export async function verifyClearsigned(
  text: string,
  keyrings: readonly string[],
): Promise<SignatureVerdict> {
  if (!isClearsigned(text)) return { state: 'unsigned' }
  stripArmour(text)
  const openpgp = await import('openpgp')
  const keys = (await Promise.all(keyrings.map(readKeyring))).flat()
  const message = await openpgp.readCleartextMessage({ cleartextMessage: text })
  const { signatures } = await openpgp.verify({ message, verificationKeys: keys })
  const signers: string[] = []
  const unknown: string[] = []
  let why: string | undefined
  for (const one of signatures) {
    const key = one.keyID.toHex().toUpperCase()
    const known = keys.some((candidate) => candidate.getKeys(one.keyID).length > 0)
    try {
      await one.verified
      signers.push(key)
    } catch (error) {
      if (known) why = (error as Error).message.toLowerCase()
      else unknown.push(key)
    }
  }
  // One good signature is enough, as for gpgv and apt: archives sign with old and new keys at once.
  if (signers.length > 0) return { state: 'valid', text: message.getText(), signers }
  if (why !== undefined) return { state: 'bad', why }
  return { state: 'unknown-key', keys: unknown }
}

/**
 * The same through gpgv, which obeys keyring files exactly as the distribution's own tools do, and
 * reads the very large ones at once.
 *
 * @throws NspawnError `PROGRAM_NOT_FOUND` when there is no gpgv
 */
export async function verifyClearsignedByGpgv(
  text: string,
  keyrings: readonly string[],
): Promise<SignatureVerdict> {
  if (!isClearsigned(text)) return { state: 'unsigned' }
  stripArmour(text)
  const { status, stdout, stderr } = await runProgram(
    'cannot check the signature',
    [
      'gpgv',
      '--status-fd',
      '2',
      '--output',
      '-',
      ...keyrings.flatMap((path) => ['--keyring', path]),
      '-',
    ],
    { input: text, accept: [0, 1, 2], hint: 'install gpgv' },
  )
  const said = [...stderr.matchAll(/^\[GNUPG:\] (\w+) ?(\S*)/gm)].map(([, word, argument]) => ({
    word,
    argument,
  }))
  const argumentsOf = (word: string) =>
    said.filter((line) => line.word === word).map((line) => line.argument ?? '')
  const signers = argumentsOf('VALIDSIG')
  if (argumentsOf('BADSIG').length > 0)
    return { state: 'bad', why: `bad signature of key ${argumentsOf('BADSIG')[0]}` }
  if (status === 0 && signers.length > 0)
    return { state: 'valid', text: stdout.replaceAll('\r\n', '\n'), signers }
  const unknown = argumentsOf('NO_PUBKEY')
  if (unknown.length > 0) return { state: 'unknown-key', keys: unknown }
  return {
    state: 'bad',
    why: stderr.replaceAll(/^\[GNUPG:\].*\n?/gm, '').trim() || `gpgv ended with status ${status}`,
  }
}

async function readKeyring(path: string) {
  const openpgp = await import('openpgp')
  try {
    const bytes = await readFile(path)
    if (bytes.subarray(0, 5).toString() === '-----')
      return await openpgp.readKeys({ armoredKeys: bytes.toString('utf8') })
    return await openpgp.readKeys({ binaryKeys: bytes })
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException
    throw new NspawnError(
      code === undefined ? `cannot read keyring: ${message.toLowerCase()}` : 'cannot read keyring',
      {
        code: code ?? 'BAD_KEYRING',
        operation: syscall ?? 'read keyring',
        subject: path,
      },
    )
  }
}
