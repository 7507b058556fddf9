/** Which tool checks a signature against keyring files: gpgv where it can, else the one that comes with us. */
import { open, type FileHandle } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'
import {
  isClearsigned,
  verifyClearsigned,
  verifyClearsignedByGpgv,
  type SignatureVerdict,
} from '../../transfer/clearsign.ts'
import { isBinary, type JudgeOptions } from '../../transfer/open-pgp.ts'

/**
 * Checks a clear-signed text against keyrings, as the distribution's own tools do where gpgv is there.
 *
 * @param keyrings absolute paths; none at all knows no key
 * @throws NspawnError `INVALID_KEYRING` or `EACCES` for a keyring that cannot be read
 */
export async function verifyWithKeyrings(
  text: string,
  keyrings: readonly string[],
  options: JudgeOptions = {},
): Promise<SignatureVerdict> {
  if (!isClearsigned(text)) return { state: 'unsigned' }
  if (keyrings.length === 0) return { state: 'unknown-key', keys: [] }
  // gpgv reads binary keyrings only.
  if (await anyArmoured(keyrings)) return verifyClearsigned(text, keyrings, options)
  try {
    return await verifyClearsignedByGpgv(text, keyrings, options)
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code !== 'PROGRAM_NOT_FOUND') throw error
    return verifyClearsigned(text, keyrings, options)
  }
}

async function anyArmoured(keyrings: readonly string[]): Promise<boolean> {
  for (const path of keyrings) {
    let file: FileHandle
    try {
      file = await open(path)
    } catch (error) {
      throw new NspawnError('cannot read the keyring', {
        code: (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'INVALID_KEYRING' : 'EACCES',
        operation: 'open',
        subject: path,
      })
    }
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, 0)
      if (bytesRead > 0 && !isBinary(buffer)) return true
    } finally {
      await file.close()
    }
  }
  return false
}
