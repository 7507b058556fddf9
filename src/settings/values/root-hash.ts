/** What proves that a disk image is the one that was meant. @see systemd-nspawn(1), `--root-hash=` */
import { usageError } from '../../errors.ts'
import { absolutePath } from './path.ts'

/** @returns lower-case hexadecimal digits, of 16 bytes at least */
export function parseRootHash(text: string): string {
  if (!/^([0-9a-fA-F]{2})+$/.test(text))
    throw usageError('a root hash is written in hexadecimal digits, two for each byte')
  if (text.length < 32) throw usageError('a root hash has 16 bytes at least')
  return text.toLowerCase()
}

/** PKCS#7 in its binary form (DER): a file, or the bytes themselves. */
export type RootHashSignature =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'value'; readonly base64: string }

export function parseRootHashSignature(text: string, cwd: string): RootHashSignature {
  const prefix = 'base64:'
  if (!text.startsWith(prefix)) return { kind: 'file', path: absolutePath(text, cwd) }
  const base64 = text.slice(prefix.length).replaceAll(/\s/g, '')
  if (
    base64 === '' ||
    !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)
  )
    throw usageError('what stands behind base64: is not base64')
  return { kind: 'value', base64 }
}
