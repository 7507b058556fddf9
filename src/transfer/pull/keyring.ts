/** Whose signatures count for images, and how they are checked. */
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'
import { isClearsigned, verifyClearsigned, verifyClearsignedByGpgv } from '../clearsign.ts'
import {
  isBinary,
  judge,
  judgeByGpgv,
  readKeyring,
  withBinaryKeyrings,
  type Judgement,
} from '../open-pgp.ts'

/** The administrator's keyring replaces the vendor's one. */
const standardKeyrings = [
  '/etc/systemd/import-pubring.pgp',
  '/etc/systemd/import-pubring.gpg',
  '/usr/lib/systemd/import-pubring.pgp',
  '/usr/lib/systemd/import-pubring.gpg',
]

export interface Keyring {
  readonly path: string
  /** gpgv obeys the file that the user named, and reads what is only for GnuPG. */
  readonly checkedBy: 'gpgv' | 'openpgp'
}

/**
 * The keyring that signatures of images are checked with.
 *
 * @param wanted the one that the user named
 * @throws NspawnError `KEYRING_NOT_FOUND`
 */
export async function chooseKeyring(wanted: string | undefined): Promise<Keyring> {
  if (wanted !== undefined && existsSync(wanted)) return { path: wanted, checkedBy: 'gpgv' }
  const path = wanted === undefined ? standardKeyrings.find((one) => existsSync(one)) : undefined
  if (path !== undefined) return { path, checkedBy: (await isKeybox(path)) ? 'gpgv' : 'openpgp' }
  throw new NspawnError('there is no keyring to check signatures with', {
    code: 'KEYRING_NOT_FOUND',
    subject: wanted ?? standardKeyrings.join(', '),
    hint: 'name one with --keyring=, or check without signature with --verify=checksum',
  })
}

/**
 * Checks a signature that lies beside what it signs.
 *
 * @param signature binary or armoured
 */
export async function verifyDetached(
  signed: Buffer,
  signature: Buffer,
  keyring: Keyring,
): Promise<Judgement> {
  if (keyring.checkedBy === 'gpgv') {
    return withBinaryKeyrings([keyring.path], async (keyrings, scratch) => {
      const file = await scratch.write('signature', signature)
      return (await judgeByGpgv(signed, keyrings, [file, '-'], { expiredKeys: 'refuse' })).judgement
    })
  }
  const openpgp = await import('openpgp')
  const keys = await readKeyring(keyring.path)
  try {
    const { signatures } = await openpgp.verify({
      message: await openpgp.createMessage({ binary: new Uint8Array(signed) }),
      signature: isBinary(signature)
        ? await openpgp.readSignature({ binarySignature: new Uint8Array(signature) })
        : await openpgp.readSignature({ armoredSignature: signature.toString('utf8') }),
      verificationKeys: keys,
    })
    return await judge(signatures, keys, { expiredKeys: 'refuse' })
  } catch (error) {
    return { state: 'bad', why: (error as Error).message.toLowerCase() }
  }
}

/** Checks a text that carries its own signature. @returns the signed text where it holds; undefined when it carries none */
export async function verifyInline(
  text: string,
  keyring: Keyring,
): Promise<(Judgement & { readonly text?: string }) | undefined> {
  if (!isClearsigned(text)) return undefined
  const options = { expiredKeys: 'refuse' } as const
  const verdict =
    keyring.checkedBy === 'gpgv'
      ? await withBinaryKeyrings([keyring.path], (keyrings) =>
          verifyClearsignedByGpgv(text, keyrings, options),
        )
      : await verifyClearsigned(text, [keyring.path], options)
  return verdict.state === 'unsigned' ? undefined : verdict
}

/** GnuPG's own store of keys, which others do not read. */
async function isKeybox(path: string): Promise<boolean> {
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(12), 0, 12, 0)
    return buffer.toString('latin1', 8, 12) === 'KBXf'
  } finally {
    await file.close()
  }
}
