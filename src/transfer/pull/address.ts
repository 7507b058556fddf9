/** What the address of an image says: the name that it gets here, and where its companions lie. */
import { usageError, type NspawnError } from '../../errors.ts'
import { parseUrl, withoutSecrets } from '../url.ts'
import { archiveEndings, compressedEndings } from '../compression.ts'

export type PullKind = 'tar' | 'raw'

const compressed = compressedEndings.join('|')
const treeSuffix = new RegExp(`\\.(?:tar(?:\\.(?:${compressed}))?|${archiveEndings.join('|')})$`)
const diskSuffix = new RegExp(`\\.(?:${compressed}|sysext\\.raw|confext\\.raw|raw|qcow2|img|bin)$`)

/**
 * The URL of an image.
 *
 * @throws NspawnError `USAGE` when it is none, or of a scheme other than http, https and file
 */
export function parseImageUrl(text: string): URL {
  let url: URL
  try {
    url = parseUrl(text)
  } catch (error) {
    throw usageError((error as NspawnError).message, (error as NspawnError).hint)
  }
  // oxlint-disable-next-line no-control-regex -- the bytes that addresses are made of
  const ascii = /^[\x21-\x7e]*$/.test(text)
  if (!ascii || (url.protocol !== 'file:' && url.host === ''))
    throw usageError(
      `URL "${withoutSecrets(url)}" is not valid`,
      'other characters than ASCII are written as %XX',
    )
  return url
}

/** The last part of the path as it is written; empty when there is none. */
export function lastPart(url: URL): string {
  return url.pathname.replace(/\/+$/, '').split('/').at(-1) ?? ''
}

/** The name of an image file without what says how it is packed. */
export function withoutSuffixes(fileName: string, kind: PullKind): string {
  if (kind === 'tar') return fileName.replace(treeSuffix, '')
  let name = fileName
  while (diskSuffix.test(name)) name = name.replace(diskSuffix, '')
  return name
}

/** The names of the companions of an image, beside which they lie. */
export interface Companions {
  /** The first that is there counts. */
  readonly checksums: readonly string[]
  readonly settings: string
  /** Disk images only. */
  readonly rootHash: string
  readonly rootHashSignature: string
  readonly verity: string
}

export function companionsOf(fileName: string, kind: PullKind): Companions {
  const stem = withoutSuffixes(fileName, kind)
  return {
    checksums: [`${fileName}.sha256`, 'SHA256SUMS'],
    settings: `${stem}.nspawn`,
    rootHash: `${stem}.roothash`,
    rootHashSignature: `${stem}.roothash.p7s`,
    verity: `${stem}.verity`,
  }
}

/** Where the signature of a list of checksums may lie, beside it. */
export function signaturesOf(checksums: string): string[] {
  return checksums === 'SHA256SUMS'
    ? ['SHA256SUMS.gpg', 'SHA256SUMS.asc']
    : [`${checksums}.asc`, `${checksums}.gpg`]
}

/**
 * The address of a companion. The query of the image's address is kept: it may be the token that opens the server.
 *
 * @param name as it stands in the path, not decoded
 */
export function companionUrl(image: URL, name: string): URL {
  const url = new URL(image)
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/[^/]*$/, name)
  url.hash = ''
  return url
}
