/**
 * Names of pristine copies: what was downloaded, as it came, under a hidden name that says from where and which
 * version. They are the names that systemd's importd gives, so that its tools know them for what they are.
 */
import { readdirSync } from 'node:fs'
import { sipHash24 } from '../../siphash.ts'
import type { PullKind } from './address.ts'

/** importd's own; it only has to be the same every time. */
const key = Buffer.from('df89168701cc423098ab4a19a6a5634f', 'hex')

/** A path of so many bytes leaves no room for a temporary suffix. */
const pathLimit = 240

/** Bytes that no name should have, and those that mean something in one, as `\xNN`. */
export function escapePart(text: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    const plain = byte >= 0x20 && byte < 0x7f && !'\\/.#"\''.includes(String.fromCharCode(byte))
    return plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }).join('')
}

/** What stands for the URL where the name would be too long. */
export function hashedUrl(url: string): string {
  return sipHash24(url, key).toString(16)
}

/**
 * The image name of the pristine copy, without `.raw`.
 *
 * @param directory where it lies: the whole path decides whether the URL has to be shortened
 * @param url see `identifyingUrl()`
 * @param etag with its quotes
 * @returns undefined when even the short name is too long
 */
export function pristineName(
  directory: string,
  kind: PullKind,
  url: string,
  etag: string | undefined,
): string | undefined {
  const version = etag === undefined ? '' : `.${escapePart(etag)}`
  return [escapePart(url), hashedUrl(url)]
    .map((part) => `.${kind}-${part}${version}`)
    .find((name) => fits(directory, name))
}

function fits(directory: string, name: string): boolean {
  return Buffer.byteLength(`${directory}/${name}.raw`) < pathLimit
}

/** A pristine copy that is there. */
export interface PristineCopy {
  /** Without `.raw`. */
  readonly name: string
  readonly etag: string
}

/** The pristine copies of a URL, whatever version. */
export function findPristine(directory: string, kind: PullKind, url: string): PristineCopy[] {
  const prefixes = [escapePart(url), hashedUrl(url)].map((part) => `.${kind}-${part}.`)
  const ending = kind === 'raw' ? '.raw' : ''
  return names(directory)
    .filter((file) => file.endsWith(ending))
    .map((file) => file.slice(0, file.length - ending.length))
    .flatMap((name) => {
      const prefix = prefixes.find((one) => name.startsWith(one))
      const etag = prefix === undefined ? undefined : unescapePart(name.slice(prefix.length))
      return etag === undefined || !/^(?:W\/)?".*"$/.test(etag) ? [] : [{ name, etag }]
    })
}

function unescapePart(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_match, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
