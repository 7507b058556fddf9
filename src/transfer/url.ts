/** URLs as people may see them, and the few schemes that bytes may come from. */
import { NspawnError } from '../errors.ts'

const schemes = new Set(['http:', 'https:', 'file:'])

/**
 * The URL that `text` stands for.
 *
 * @throws NspawnError `BAD_URL` when it is none, or of a scheme other than http, https and file
 */
export function parseUrl(text: string, base?: string): URL {
  let url: URL
  try {
    url = new URL(text, base)
  } catch {
    throw new NspawnError(`not a URL: ${text}`, { code: 'BAD_URL', operation: 'parse URL' })
  }
  if (schemes.has(url.protocol)) return url
  throw new NspawnError(`cannot fetch ${withoutSecrets(url)}: unknown scheme ${url.protocol}`, {
    code: 'BAD_URL',
    operation: 'parse URL',
    hint: 'http, https and file are known',
  })
}

/** Whether a command line argument is meant as a URL and not as a path. */
export function looksLikeUrl(text: string): boolean {
  return /^(https?|file):\/\//i.test(text)
}

/** The URL without user name and password: this form is for messages, logs and records. */
export function withoutSecrets(url: URL): string {
  const clean = new URL(url)
  clean.username = ''
  clean.password = ''
  return clean.href
}

/** The last part of the path, decoded: the name that a file would be saved under. */
export function urlFileName(url: URL): string {
  const encoded = url.pathname.split('/').at(-1) ?? ''
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}

/** The URL of a file that lies beside `url`; `name` is taken literally. */
export function besideUrl(url: URL, name: string): URL {
  const beside = new URL(url)
  beside.pathname = beside.pathname.replace(/[^/]*$/, encodeURIComponent(name))
  beside.search = ''
  return beside
}
