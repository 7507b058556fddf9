/** The hash of a file, which may be long. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { throwIfCanceled } from './errors.ts'

/**
 * Of a file's content, in lower-case hexadecimal digits.
 *
 * @throws the errors of open(2) and read(2) as Node has them; NspawnError `CANCELED`
 */
export async function hashFile(
  path: string,
  signal?: AbortSignal,
  algorithm: 'sha256' | 'sha384' | 'sha512' | 'blake2b512' = 'sha256',
): Promise<string> {
  const hash = createHash(algorithm)
  // One buffer for the whole file: memory must not grow with the files that are hashed at once.
  const buffer = Buffer.allocUnsafe(256 * 1024)
  await using file = await open(path, 'r')
  for (;;) {
    throwIfCanceled(signal, `checking ${path}`)
    const { bytesRead } = await file.read(buffer, 0, buffer.length)
    if (bytesRead === 0) return hash.digest('hex')
    hash.update(buffer.subarray(0, bytesRead))
  }
}
