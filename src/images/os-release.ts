/** What operating system a tree holds, and whether it holds one at all. */
import { lstatSync, readFileSync, statSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { resolveInRoot } from './resolve-in-root.ts'

/** The fields of an os-release file by name (`ID`, `VERSION_CODENAME`), unquoted. */
export type OsRelease = Readonly<Record<string, string>>

/**
 * Parses the text of an os-release file. Lines that are no assignment are skipped, as its readers do;
 * of two assignments to one name the last holds.
 *
 * @see os-release(5)
 */
export function parseOsRelease(text: string): OsRelease {
  const fields: Record<string, string> = {}
  for (const line of text.split('\n')) {
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line)
    if (match !== null) fields[match[1] as string] = unquote((match[2] as string).trim())
  }
  return fields
}

/** One shell word: quotes of both kinds may begin and end anywhere in it. */
function unquote(word: string): string {
  let value = ''
  let quote = ''
  for (let i = 0; i < word.length; i++) {
    const char = word[i] as string
    const next = word[i + 1]
    if (quote === "'") {
      if (char === "'") quote = ''
      else value += char
    } else if (char === '\\' && next !== undefined) {
      // Between double quotes a backslash is itself, except before what it must guard.
      if (quote === '"' && !'"\\$`'.includes(next)) value += char
      value += next
      i++
    } else if (char === quote) quote = ''
    else if (quote === '' && (char === '"' || char === "'")) quote = char
    else value += char
  }
  return value
}

/** In bytes; what is larger was not written to be read. */
const SIZE_MAX = 1 << 20

const osReleasePaths = ['/etc/os-release', '/usr/lib/os-release']

/**
 * Reads the os-release file of the tree at `root`; symlinks resolve inside the tree. What is no file, or larger than any
 * such file is, counts as none.
 *
 * @returns undefined when there is none
 */
export function readOsRelease(root: string): OsRelease | undefined {
  for (const path of osReleasePaths) {
    const found = resolveIfThere(root, path)
    if (found === undefined) continue
    const facts = lstatSync(found)
    if (facts.isFile() && facts.size <= SIZE_MAX) return parseOsRelease(readFileSync(found, 'utf8'))
  }
  return undefined
}

/**
 * Refuses what cannot be a root directory. To run a command in it a tree needs `usr/`; to boot it
 * needs an os-release file.
 *
 * @param name what people know it by
 * @throws NspawnError, `ENOENT` or `ENOTDIR` when it is no directory, `NOT_AN_OS_TREE` when it does
 *   not look like an operating system
 */
export function checkTree(root: string, purpose: 'command' | 'boot', name: string = root): void {
  const facts = statSync(root, { throwIfNoEntry: false })
  if (facts === undefined) {
    throw new NspawnError(`there is no directory ${name}`, {
      code: 'ENOENT',
      operation: 'open root',
      subject: name,
    })
  }
  if (!facts.isDirectory()) {
    throw new NspawnError(`${name} is not a directory`, {
      code: 'ENOTDIR',
      operation: 'open root',
      subject: name,
      hint: 'disk images are given with --image=',
    })
  }
  const needed = purpose === 'boot' ? osReleasePaths : ['/usr']
  if (needed.some((path) => resolveIfThere(root, path) !== undefined)) return
  throw notATree(purpose, name)
}

/** For a tree that lacks what `purpose` needs. */
export function notATree(purpose: 'command' | 'boot', name: string): NspawnError {
  const lacks = purpose === 'boot' ? 'it has no os-release file' : 'it has no usr/ directory'
  return new NspawnError(`${name} does not look like an operating system tree: ${lacks}`, {
    code: 'NOT_AN_OS_TREE',
    operation: 'check root',
    subject: name,
    hint: 'make a tree with "tsnspawn-build create", or name another one with --directory=',
  })
}

function resolveIfThere(root: string, path: string): string | undefined {
  try {
    return resolveInRoot(root, path)
  } catch (error) {
    if (error instanceof NspawnError && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code))
      return undefined
    throw error
  }
}
