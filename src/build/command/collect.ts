/** Takes out what a command has written, as far as its declared results go. */
import { badResult, copyMatching } from '../matching-results.ts'
import { ResultDirectory, type ResultFile } from '../results.ts'
import { sourceDirectory } from './places.ts'

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
  await using top = await ResultDirectory.openIfThere(upper, sourceDirectory)
  const { files, unmatched } =
    top === undefined
      ? { files: [], unmatched: patterns.filter((pattern) => !pattern.startsWith('!')) }
      : await copyMatching(top, patterns, destination, signal)
  const [missing] = unmatched
  if (missing !== undefined)
    throw badResult('the command succeeded, and wrote nothing of that name', missing)
  return files
}
