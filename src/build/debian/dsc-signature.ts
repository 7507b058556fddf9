/** Who vouches for a `.dsc`: a developer's signature, the archive's signed index, or nobody. */
import { existsSync } from 'node:fs'
import { verifyWithKeyrings } from '../../bootstrap/debian/keyrings.ts'
import { NspawnError } from '../../errors.ts'
import type { LogSink } from '../../log.ts'
import { stripArmour, type SignatureVerdict } from '../../transfer/clearsign.ts'

export interface SignaturePolicy {
  /** Keyrings that must vouch; when empty the developers' keyrings of the host are asked, if there. */
  readonly keyrings: readonly string[]
  /** Without a good signature by a known developer there is no build. */
  readonly required: boolean
}

export type DscSignature =
  | { readonly state: 'valid'; readonly signers: readonly string[] }
  /** The archive's signed index has its hash. */
  | { readonly state: 'index'; readonly signers: readonly string[] }
  | { readonly state: 'none'; readonly why: string }

/** What Debian's package debian-keyring installs. */
const developerKeyrings = ['debian-keyring', 'debian-maintainers', 'debian-nonupload'].flatMap(
  (name) => ['pgp', 'gpg'].map((ending) => `/usr/share/keyrings/${name}.${ending}`),
)

/**
 * Checks the signature of a `.dsc` as far as the policy asks for it.
 *
 * @param subject path or URL, for messages
 * @param vouched set when a signed index named this very file
 * @returns the text that was checked, without armour; only this may be read
 * @throws NspawnError `SOURCE_SIGNATURE`
 */
export async function checkDscSignature(
  raw: string,
  subject: string,
  policy: SignaturePolicy,
  vouched: DscSignature | undefined,
  log: LogSink,
): Promise<{ text: string; signature: DscSignature }> {
  const obeyed = policy.keyrings.length > 0
  const keyrings = obeyed ? policy.keyrings : developerKeyrings.filter((path) => existsSync(path))
  if (vouched !== undefined && !policy.required && !obeyed)
    return { text: stripArmour(raw), signature: vouched }
  const verdict = await verifyWithKeyrings(raw, keyrings)
  const why = shortcoming(verdict, keyrings)
  if (verdict.state === 'valid')
    return { text: verdict.text, signature: { state: 'valid', signers: verdict.signers } }
  if (verdict.state === 'bad' || policy.required || obeyed) {
    throw new NspawnError(`the source package ${why}`, {
      code: 'SOURCE_SIGNATURE',
      operation: 'check signature',
      subject,
      hint:
        verdict.state === 'bad'
          ? 'get the source again, from another place'
          : 'name the keyring of its signer with --keyring',
    })
  }
  log({ kind: 'notice', text: `${subject} ${why}: only its checksums vouch for the files` })
  return { text: stripArmour(raw), signature: { state: 'none', why } }
}

function shortcoming(verdict: SignatureVerdict, keyrings: readonly string[]): string {
  switch (verdict.state) {
    case 'valid':
      return 'is signed'
    case 'unsigned':
      return 'is not signed'
    case 'bad':
      return `has a bad signature (${verdict.why})`
    case 'unknown-key':
      if (keyrings.length === 0) return 'is signed, but there is no keyring to check it with'
      return `is signed by an unknown key (${verdict.keys.join(', ')})`
  }
}
