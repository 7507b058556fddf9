/**
 * Values of `--bind=`, `--tmpfs=`, `--overlay=` and `--inaccessible=`. Fields are separated by colons;
 * a backslash makes the next character an ordinary one; quotes are ordinary characters.
 */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import type { BindIdMap, CustomMount, MountSource } from '../settings.ts'
import { absolutePath, requireAbsolute, simplifyPath } from './path.ts'

type Access = 'read-write' | 'read-only'

/**
 * Takes up to `most` fields off the front of `text`. What follows the last one taken is `rest`, as it
 * was written; undefined when nothing is left.
 */
export function splitFields(
  text: string,
  most: number,
): { fields: readonly string[]; rest: string | undefined } {
  const fields: string[] = []
  let field = ''
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at)
    if (character === '\\') {
      if (++at === text.length) throw usageError(`"${text}" ends in a backslash`)
      field += text.charAt(at)
    } else if (character === ':') {
      fields.push(field)
      field = ''
      if (fields.length === most) return { fields, rest: text.slice(at + 1) }
    } else field += character
  }
  fields.push(field)
  return { fields, rest: undefined }
}

function parseSource(text: string, cwd: string): MountSource {
  if (text === '') return { kind: 'temporary' }
  if (!text.startsWith('+')) return { kind: 'host', path: absolutePath(text, cwd) }
  const path = requireAbsolute(text.slice(1), 'the path after "+",')
  return { kind: 'container', path }
}

const bindOptions = ['rbind', 'norbind', 'noidmap', 'idmap', 'rootidmap', 'owneridmap'] as const

/**
 * `SOURCE[:DESTINATION[:OPTIONS]]`.
 *
 * @param cwd what a relative source is taken against
 * @throws NspawnError (`USAGE`)
 */
export function parseBind(text: string, access: Access, cwd: string): CustomMount {
  const { fields, rest } = splitFields(text, 2)
  const [source = '', destination = source.replace(/^\+/, '')] = fields
  let recursive = true
  let idMap: BindIdMap = 'noidmap'
  for (const option of (rest ?? '').split(',')) {
    if (option === '') continue
    const known = bindOptions.find((name) => name === option)
    if (known === undefined) {
      const guess = nearest(option, bindOptions)
      throw usageError(
        `unknown option "${option}" of a bind mount`,
        option === 'ro'
          ? 'use --bind-ro= for a read-only bind mount'
          : guess === undefined
            ? `known are ${bindOptions.join(', ')}`
            : `did you mean ${guess}?`,
      )
    }
    if (known === 'rbind' || known === 'norbind') recursive = known === 'rbind'
    else idMap = known
  }
  return {
    kind: 'bind',
    source: parseSource(source, cwd),
    destination: requireAbsolute(destination, 'destination'),
    access,
    recursive,
    idMap,
  }
}

/**
 * `PATH[:OPTIONS]`; without options the directory gets mode 0755.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseTmpfs(text: string): CustomMount {
  const { fields, rest } = splitFields(text, 1)
  const destination = requireAbsolute(fields[0] ?? '', 'destination')
  if (destination === '/') {
    throw usageError(
      'a tmpfs cannot replace the root directory',
      'use --volatile=yes or --volatile=overlay',
    )
  }
  return {
    kind: 'tmpfs',
    destination,
    options: rest === undefined || rest === '' ? 'mode=0755' : rest,
  }
}

/**
 * `LOWER[:LOWER…]:UPPER:DESTINATION`, lowest first; with two paths the second is both upper and
 * destination. An empty upper is a temporary directory.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseOverlay(text: string, access: Access, cwd: string): CustomMount {
  const { fields } = splitFields(text, Infinity)
  if (fields.length < 2) {
    throw usageError('an overlay needs at least two directories separated by a colon')
  }
  const lowerCount = Math.max(1, fields.length - 2)
  const lowers = fields.slice(0, lowerCount).map((lower) => {
    if (lower === '') throw usageError('a lower directory of an overlay may not be empty')
    return parseSource(lower, cwd)
  })
  const last = fields.at(-1) ?? ''
  const upper = parseSource(fields[lowerCount] ?? '', cwd)
  const both = fields.length === 2 && upper.kind !== 'temporary'
  const destination = both ? upper.path : requireAbsolute(last, 'destination')
  return { kind: 'overlay', lowers, upper, destination: simplifyPath(destination), access }
}

/** @throws NspawnError (`USAGE`) when `text` is not absolute, or is the root directory */
export function parseInaccessible(text: string): CustomMount {
  const destination = requireAbsolute(text, 'path')
  if (destination === '/') throw usageError('the root directory itself cannot be inaccessible')
  return { kind: 'inaccessible', destination }
}
