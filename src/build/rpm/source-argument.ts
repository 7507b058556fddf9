/** What the SOURCE argument of an rpm build means. */
import { readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { looksLikeUrl, parseUrl, urlFileName } from '../../transfer/url.ts'

export type RpmSource =
  /** A spec with its sources beside it, or in `../SOURCES` where rpmbuild's own layout is used. */
  | { readonly kind: 'spec'; readonly path: string }
  | { readonly kind: 'package-file'; readonly path: string }
  | { readonly kind: 'package-url'; readonly url: URL }

const known = 'give a .spec, a directory with one, or a .src.rpm by path or URL'

/**
 * Reads a SOURCE argument.
 *
 * @param directory absolute; relative paths are looked for from here
 * @throws NspawnError `SOURCE_NOT_FOUND`, `SOURCE_INVALID`
 */
export function readRpmSource(text: string, directory: string): RpmSource {
  if (looksLikeUrl(text)) return { kind: 'package-url', url: packageUrl(text) }
  const path = resolve(directory, text)
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts === undefined) {
    throw new NspawnError(`there is no source ${text}`, {
      code: 'SOURCE_NOT_FOUND',
      operation: 'find source',
      subject: path,
      hint: known,
    })
  }
  if (facts.isDirectory()) return { kind: 'spec', path: onlySpec(path) }
  if (!facts.isFile()) throw invalid('it is no regular file', path)
  if (path.endsWith('.spec')) return { kind: 'spec', path }
  if (path.endsWith('.src.rpm')) return { kind: 'package-file', path }
  throw invalid('the file is neither a .spec nor a .src.rpm', path)
}

function packageUrl(text: string): URL {
  let url: URL
  try {
    url = parseUrl(text)
  } catch (error) {
    throw new NspawnError('not a source', { code: 'SOURCE_INVALID', cause: error })
  }
  if (urlFileName(url).endsWith('.src.rpm')) return url
  throw invalid('the URL does not end in .src.rpm', text.replace(/[?#].*$/, ''))
}

function onlySpec(directory: string): string {
  const names = readdirSync(directory).filter((name) => name.endsWith('.spec'))
  const [name] = names
  if (name === undefined) throw invalid('there is no .spec in the directory', directory)
  if (names.length > 1)
    throw invalid(`there are several: ${names.toSorted().join(', ')}; name one of them`, directory)
  return join(directory, name)
}

function invalid(why: string, subject: string): NspawnError {
  return new NspawnError(why, {
    code: 'SOURCE_INVALID',
    operation: 'read source',
    subject,
    hint: known,
  })
}
