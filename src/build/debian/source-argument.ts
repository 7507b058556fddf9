/** What the SOURCE argument of a Debian build means. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { withoutPasswords } from '../../url-secrets.ts'
import { looksLikeUrl, parseUrl } from '../../transfer/url.ts'

export type SourceRequest =
  | { readonly kind: 'dsc-file'; readonly path: string }
  | { readonly kind: 'dsc-url'; readonly url: URL }
  | DirectorySource
  /** A source package of the tree's own archive. */
  | { readonly kind: 'name'; readonly name: string; readonly version: string | undefined }

/** A directory with `debian/` in it. */
export interface DirectorySource {
  readonly kind: 'directory'
  readonly path: string
  /** What to take of a git checkout; default its last commit, if nothing has been changed since. */
  readonly git?: GitWish | undefined
}

export type GitWish =
  | { readonly kind: 'commit'; readonly ref: string }
  | { readonly kind: 'working-tree' }

/**
 * Reads a SOURCE argument: a URL, a path that exists, else `NAME` or `NAME=VERSION`.
 *
 * @param directory absolute; relative paths are looked for from here
 * @throws NspawnError `SOURCE_NOT_FOUND`, `SOURCE_INVALID`, `BAD_URL`
 */
export function readSourceArgument(text: string, directory: string): SourceRequest {
  if (isRepositoryUrl(text))
    throw invalid(
      'git repositories are not fetched',
      withoutPasswords(text),
      'clone it, and give the directory',
    )
  if (looksLikeUrl(text)) {
    const url = urlOf(text)
    if (!url.pathname.endsWith('.dsc')) throw invalid('the URL does not end in .dsc', text)
    return { kind: 'dsc-url', url }
  }
  const path = resolve(directory, text)
  const facts = statSync(path, { throwIfNoEntry: false })
  if (facts?.isDirectory() === true) return { kind: 'directory', path }
  if (facts !== undefined) {
    if (!path.endsWith('.dsc')) throw invalid('the file is no .dsc', path)
    return { kind: 'dsc-file', path }
  }
  const [, name, version] = /^([a-z0-9][a-z0-9.+-]+)(?:=(\S+))?$/.exec(text) ?? []
  if (name !== undefined && !text.endsWith('.dsc')) return { kind: 'name', name, version }
  throw new NspawnError(`there is no source ${text}`, {
    code: 'SOURCE_NOT_FOUND',
    operation: 'find source',
    subject: path,
    hint: sourceHint,
  })
}

/** In any form that git takes. */
function isRepositoryUrl(text: string): boolean {
  return /^(git|ssh|git\+[a-z]+):\/\/|^[\w.-]+@[\w.-]+:|^https?:\/\/[^?#]*\.git\/?([?#].*)?$/i.test(
    text,
  )
}

const sourceHint =
  'give a .dsc by path or URL, a directory with debian/ in it, or the name of a source package'

function urlOf(text: string): URL {
  try {
    return parseUrl(text)
  } catch (error) {
    throw new NspawnError('not a source', { code: 'SOURCE_INVALID', cause: error })
  }
}

function invalid(why: string, subject: string, hint: string = sourceHint): NspawnError {
  return new NspawnError(why, { code: 'SOURCE_INVALID', operation: 'read source', subject, hint })
}
