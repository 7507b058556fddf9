/**
 * OpenPGP clear-signed text (RFC 9580 section 7): taking it apart, and checking who signed it. Only
 * the text between the armour lines counts; what stands before or after it was signed by nobody, so
 * its presence is an error and never quietly skipped.
 */
import { NspawnError } from '../errors.ts'
import { judge, judgeByGpgv, readKeyring, type Judgement, type JudgeOptions } from './open-pgp.ts'

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
  | Exclude<Judgement, { readonly state: 'valid' }>

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
  options: JudgeOptions = {},
): Promise<SignatureVerdict> {
  if (!isClearsigned(text)) return { state: 'unsigned' }
  stripArmour(text)
  const openpgp = await import('openpgp')
  const keys = (await Promise.all(keyrings.map(readKeyring))).flat()
  const message = await openpgp.readCleartextMessage({ cleartextMessage: text })
  const { signatures } = await openpgp.verify({ message, verificationKeys: keys })
  const judgement = await judge(signatures, keys, options)
  return judgement.state === 'valid' ? { ...judgement, text: message.getText() } : judgement
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
  options: JudgeOptions = {},
): Promise<SignatureVerdict> {
  if (!isClearsigned(text)) return { state: 'unsigned' }
  stripArmour(text)
  const { judgement, stdout } = await judgeByGpgv(text, keyrings, ['--output', '-', '-'], options)
  return judgement.state === 'valid'
    ? { ...judgement, text: stdout.replaceAll('\r\n', '\n') }
    : judgement
}
