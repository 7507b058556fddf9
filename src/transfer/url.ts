/** URLs as people may see them, and the few schemes that bytes may come from. */
import { createHash } from 'node:crypto'
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
    // What follows the scheme may have a password in it, wherever that was meant to be.
    const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0]
    const what = scheme === undefined ? 'not a URL' : `not a URL: ${scheme}…`
    throw new NspawnError(what, { code: 'BAD_URL', operation: 'parse URL' })
  }
  if (schemes.has(url.protocol)) return url
  throw new NspawnError(`cannot fetch a URL of the unknown scheme ${url.protocol}`, {
    code: 'BAD_URL',
    operation: 'parse URL',
    hint: 'http, https and file are known',
  })
}

/** Whether a command line argument is meant as a URL and not as a path. */
export function looksLikeUrl(text: string): boolean {
  return /^(https?|file):\/\//i.test(text)
}

/**
 * The URL without user name and password, and with `?…` for its query, which may be a token: this form is for
 * messages, logs and records.
 */
export function withoutSecrets(url: URL): string {
  return withQuery(url, '…')
}

/** As `withoutSecrets()`, but URLs that differ in their queries differ: a hash stands for the query. */
export function identifyingUrl(url: URL): string {
  return withQuery(url, createHash('sha256').update(url.search).digest('hex').slice(0, 32))
}

function withQuery(url: URL, shown: string): string {
  const clean = new URL(url)
  clean.username = ''
  clean.password = ''
  if (url.search === '') return clean.href
  clean.search = ''
  clean.hash = ''
  return `${clean.href}?${shown}${url.hash}`
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
