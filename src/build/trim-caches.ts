/**
 * What was fetched or found out once, for later builds: packages, sources, answers of tools. Whoever uses such a file
 * has a name of its own for it by then, so that any of them may go; one that was touched just now may be about to be used.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { missing } from '../read-if-there.ts'

export interface CacheBudget {
  readonly totalBytes: number
  /** Since a file was last used. */
  readonly ageMs: number
}

export const cacheBudget: CacheBudget = {
  totalBytes: 10 * 1024 ** 3,
  ageMs: 60 * 24 * 3600 * 1000,
}

export interface CachedFile {
  /** Absolute. */
  readonly path: string
  readonly bytes: number
  /** Milliseconds since 1970. */
  readonly usedMs: number
}

/** Of builds alone; what is beside them in the cache belongs to others. */
const ownDirectories = /^(sources|pkgbuilds|source-files|locked)\//
const packages = /\.(deb|udeb|rpm|pkg\.tar(\.\w+)?)(\.sig)?$/

/** Who has looked a file up copies or links it at once. */
const restMs = 3600 * 1000

/**
 * Drops files of the caches, the least recently used first, until the others fit.
 *
 * @param attempt only tells which they would be
 */
export async function trimCaches(
  stateDirectory: string,
  budget: CacheBudget,
  attempt: 'drop' | 'tell' = 'drop',
): Promise<readonly CachedFile[]> {
  const directory = join(stateDirectory, 'cache')
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(missing)
  const files: CachedFile[] = []
  for (const entry of entries ?? []) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(directory, path)
    if (!entry.isFile() || !(ownDirectories.test(name) || packages.test(name))) continue
    const facts = await stat(path).catch(missing)
    if (facts !== undefined) files.push({ path, bytes: facts.blocks * 512, usedMs: facts.mtimeMs })
  }
  const chosen = chooseFiles(files, budget, Date.now())
  if (attempt === 'drop') for (const { path } of chosen) await rm(path, { force: true })
  return chosen
}

/** Which files are too old or too many. Pure. */
export function chooseFiles(
  files: readonly CachedFile[],
  { totalBytes, ageMs }: CacheBudget,
  nowMs: number,
): readonly CachedFile[] {
  let total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const chosen: CachedFile[] = []
  for (const file of files.toSorted((a, b) => a.usedMs - b.usedMs)) {
    const age = nowMs - file.usedMs
    if (age < restMs || (total <= totalBytes && age <= ageMs)) continue
    total -= file.bytes
    chosen.push(file)
  }
  return chosen
}
