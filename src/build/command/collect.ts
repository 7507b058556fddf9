/** Takes out what a command has written, as far as its declared results go. */
import picomatch from 'picomatch'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { ResultDirectory, type ResultFile } from '../results.ts'
import { sourceDirectory } from './places.ts'

/** Deeper trees are no results; it bounds the descriptors that are open at once. */
const depthLimit = 64

/**
 * Copies every regular file that a pattern matches, below its own directories, to `destination`.
 *
 * @param upper host directory with what the command wrote
 * @param patterns as `CommandOptions.collect`; each one must match something
 * @param destination absolute; an existing, empty directory
 * @throws NspawnError `BUILD_RESULTS` when a pattern matches nothing, or what is no regular file;
 *   `CANCELED`
 */
export async function collectMatching(
  upper: string,
  patterns: readonly string[],
  destination: string,
  signal?: AbortSignal,
): Promise<readonly ResultFile[]> {
  const unmatched = new Set(patterns.filter((pattern) => !pattern.startsWith('!')))
  const wanted = [...unmatched].map((pattern) => ({ pattern, matches: matcher(pattern) }))
  const unwanted = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((p) => matcher(p.slice(1)))
  const results: ResultFile[] = []

  const visit = async (directory: ResultDirectory, path: string, depth: number) => {
    for (const name of await directory.names()) {
      throwIfCanceled(signal, 'collecting the results')
      const inner = path === '' ? name : `${path}/${name}`
      const kind = await directory.kindOf(name)
      if (kind === 'directory') {
        if (depth === depthLimit)
          throw bad(`it has more than ${depthLimit} directories in each other`, inner)
        await using below = await directory.enter(name)
        await visit(below, inner, depth + 1)
        continue
      }
      if (kind === 'removed' || unwanted.some((matches) => matches(inner))) continue
      const matching = wanted.filter(({ matches }) => matches(inner))
      if (matching.length === 0) continue
      for (const { pattern } of matching) unmatched.delete(pattern)
      await mkdir(join(destination, dirname(inner)), { recursive: true })
      const copied = await directory.copy(name, join(destination, inner), signal)
      results.push({ ...copied, name: inner })
    }
  }
  {
    await using top = await ResultDirectory.openIfThere(upper, sourceDirectory)
    if (top !== undefined) await visit(top, '', 1)
  }
  const [missing] = unmatched
  if (missing !== undefined) {
    throw bad('the command succeeded, and wrote nothing of that name', missing)
  }
  return results
}

function matcher(pattern: string): (path: string) => boolean {
  return picomatch(pattern.replace(/^\.\//, ''), { dot: true, strictBrackets: true })
}

function bad(why: string, subject: string): NspawnError {
  return new NspawnError(`cannot take a result: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
  })
}
