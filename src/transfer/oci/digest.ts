/** Digests, the names that registries give to content: an algorithm and the hash in hexadecimal digits. */
import { createHash } from 'node:crypto'
import { NspawnError } from '../../errors.ts'

/** `sha256:` and 64 lower-case hexadecimal digits. */
export type Digest = `sha256:${string}`

/**
 * @throws NspawnError `BAD_DIGEST` for what is none, `UNSUPPORTED_IMAGE` for another algorithm than sha256
 * @see OCI image specification, descriptor.md, "Digests"
 */
export function parseDigest(text: string): Digest {
  if (/^sha256:[0-9a-f]{64}$/.test(text)) return text as Digest
  const algorithm = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):[A-Za-z0-9=_-]+$/.exec(text)?.[1]
  if (algorithm !== undefined && algorithm !== 'sha256') {
    throw new NspawnError(`digests of algorithm ${algorithm} are not known`, {
      code: 'UNSUPPORTED_IMAGE',
      operation: 'parse digest',
      hint: 'only sha256 is',
    })
  }
  throw new NspawnError('not a digest: sha256: and 64 lower-case hexadecimal digits', {
    code: 'BAD_DIGEST',
    operation: 'parse digest',
    subject: text.slice(0, 100),
  })
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** The 64 digits. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length)
}
