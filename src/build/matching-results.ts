/** Files that patterns match, taken out of what a container has written. */
import picomatch from 'picomatch'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import type { ResultDirectory, ResultFile } from './results.ts'

/** Deeper trees are no results; it bounds the descriptors that are open at once. */
const depthLimit = 64

export interface MatchingResults {
  readonly files: readonly ResultFile[]
  /** Patterns that nothing matched. */
  readonly unmatched: readonly string[]
}

/**
 * Copies every regular file that a pattern matches, below its own directories, to `destination`.
 *
 * @param top paths are relative to it
 * @param patterns with `*`, `**`, `?`, `[…]` and `{…}`; `!…` leaves out
 * @param destination absolute; an existing, empty directory
 * @param others what is no regular file, or has a name with control characters
 * @throws NspawnError `BUILD_RESULTS` when a pattern matches what is no regular file; `CANCELED`
 */
export async function copyMatching(
  top: ResultDirectory,
  patterns: readonly string[],
  destination: string,
  signal?: AbortSignal,
  others: 'refused' | 'left-out' = 'refused',
): Promise<MatchingResults> {
  const unmatched = new Set(patterns.filter((pattern) => !pattern.startsWith('!')))
  const wanted = [...unmatched].map((pattern) => ({ pattern, matches: matcher(pattern) }))
  const unwanted = patterns
    .filter((pattern) => pattern.startsWith('!'))
    .map((p) => matcher(p.slice(1)))
  const files: ResultFile[] = []

  const visit = async (directory: ResultDirectory, path: string, depth: number) => {
    for (const name of await directory.names()) {
      throwIfCanceled(signal, 'collecting the results')
      const inner = path === '' ? name : `${path}/${name}`
      const kind = await directory.kindOf(name)
      if (kind === 'directory') {
        if (depth === depthLimit)
          throw badResult(`it has more than ${depthLimit} directories in each other`, inner)
        await using below = await directory.enter(name)
        await visit(below, inner, depth + 1)
        continue
      }
      if (kind === 'removed' || unwanted.some((matches) => matches(inner))) continue
      // oxlint-disable-next-line no-control-regex -- finding them is the point
      const plain = kind === 'file' && !/[\u0000-\u001f\u007f]/.test(inner)
      if (others === 'left-out' && !plain) continue
      const matching = wanted.filter(({ matches }) => matches(inner))
      if (matching.length === 0) continue
      for (const { pattern } of matching) unmatched.delete(pattern)
      await mkdir(join(destination, dirname(inner)), { recursive: true })
      const copied = await directory.copy(name, join(destination, inner), signal)
      files.push({ ...copied, name: inner })
    }
  }
  await visit(top, '', 1)
  return { files, unmatched: [...unmatched] }
}

function matcher(pattern: string): (path: string) => boolean {
  return picomatch(pattern.replace(/^\.\//, ''), { dot: true, strictBrackets: true })
}

/** A result that cannot be taken; `why` ends the sentence. */
export function badResult(why: string, subject: string): NspawnError {
  return new NspawnError(`cannot take a result: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
  })
}
