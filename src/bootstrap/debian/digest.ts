/**
 * Hashes that an archive vouches for its files with: SHA256, or where it has only that, SHA512. Both are strong enough,
 * the older ones (MD5Sum, SHA1) are not read.
 */
import { createHash } from 'node:crypto'

export interface Digest {
  readonly algorithm: 'sha256' | 'sha512'
  /** Lower-case hexadecimal. */
  readonly hex: string
}

/** The fields that have one, the preferred first; they are called the same in all of an archive's files. */
export const digestFields = ['SHA256', 'SHA512'] as const

const lengths = { SHA256: 64, SHA512: 128 } as const

/** The value of a field as a digest; undefined when it is none. */
export function readDigest(field: (typeof digestFields)[number], text: string): Digest | undefined {
  const hex = text.toLowerCase()
  if (hex.length !== lengths[field] || !/^[0-9a-f]+$/.test(hex)) return undefined
  return { algorithm: field === 'SHA256' ? 'sha256' : 'sha512', hex }
}

/** The same bytes, counted into a hash whose digest can be asked for at their end. */
export function hashing(
  algorithm: Digest['algorithm'],
  chunks: AsyncIterable<Buffer>,
): { readonly chunks: AsyncIterable<Buffer>; hex(): string } {
  const hash = createHash(algorithm)
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk)
      yield chunk
    }
  }
  return { chunks: counted(), hex: () => hash.digest('hex') }
}
