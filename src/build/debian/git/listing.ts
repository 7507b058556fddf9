/** What git says about files, in the forms that plumbing commands end with NUL. Pure. */
import { NspawnError } from '../../../errors.ts'

/** An entry of a commit or of the index. */
export interface GitEntry {
  /** As in a tree object: `100644`, `100755`, `120000` (link), `160000` (submodule). */
  readonly mode: string
  readonly object: string
  /** Relative to the top, never leading out of it, and never into a repository's own directory. */
  readonly path: string
}

/**
 * Reads `git ls-tree -r -z`.
 *
 * @throws NspawnError `SOURCE_INVALID`
 */
export function readTreeListing(text: string): readonly GitEntry[] {
  return records(text).map((record) => {
    const [, mode, object, path] = /^(\d{6}) \w+ ([0-9a-f]{40,64})\t(.*)$/s.exec(record) ?? []
    return entry(mode, object, path, record)
  })
}

/**
 * Reads `git ls-files -s -z`.
 *
 * @throws NspawnError `SOURCE_INVALID` when two branches are still being merged
 */
export function readIndexListing(text: string): readonly GitEntry[] {
  return records(text).map((record) => {
    const [, mode, object, stage, path] =
      /^(\d{6}) ([0-9a-f]{40,64}) (\d)\t(.*)$/s.exec(record) ?? []
    if (stage !== undefined && stage !== '0') throw invalid('a merge is not finished', path ?? '')
    return entry(mode, object, path, record)
  })
}

/** Reads a list of paths, one a record. */
export function readPathListing(text: string): readonly string[] {
  return records(text).map(checkedPath)
}

/** Paths that are not in both, or are not the same there; sorted. */
export function differingPaths(
  one: readonly GitEntry[],
  other: readonly GitEntry[],
): readonly string[] {
  const text = ({ mode, object }: GitEntry) => `${mode} ${object}`
  const left = new Map(one.map((item) => [item.path, text(item)]))
  const right = new Map(other.map((item) => [item.path, text(item)]))
  return [...new Set([...left.keys(), ...right.keys()])]
    .filter((path) => left.get(path) !== right.get(path))
    .toSorted()
}

/** When a commit was made, of `git cat-file commit`; in seconds since 1970. */
export function commitTime(text: string): number {
  const seconds = /^committer .* (\d{1,12}) [+-]\d{4}$/m.exec(text.split('\n\n')[0] ?? '')?.[1]
  if (seconds === undefined) throw invalid('the commit does not say when it was made', 'commit')
  return Number(seconds)
}

function records(text: string): readonly string[] {
  return text.split('\0').filter((record) => record !== '')
}

function entry(
  mode: string | undefined,
  object: string | undefined,
  path: string | undefined,
  record: string,
): GitEntry {
  if (mode === undefined || object === undefined || path === undefined)
    throw invalid('git has listed something that is no file', record)
  return { mode, object, path: checkedPath(path) }
}

function checkedPath(path: string): string {
  // What is no UTF-8 has become this character: another name.
  if (path.includes('\u{fffd}')) throw invalid('the name of a file is not UTF-8', path)
  const bad = path
    .replace(/\/$/, '')
    .split('/')
    .some((part) => ['', '.', '..'].includes(part) || part.toLowerCase() === '.git')
  if (bad) throw invalid('a file has a name that cannot be', path)
  return path
}

function invalid(why: string, subject: string): NspawnError {
  return new NspawnError(why, {
    code: 'SOURCE_INVALID',
    operation: 'read git checkout',
    subject: JSON.stringify(subject),
  })
}
