/** Whether a file takes space of its own, as the file system tells. */
import { execFileSync } from 'node:child_process'

/** Whether all blocks of a file are those of another one too. */
export function sharesAllBlocks(path: string): boolean {
  const listing = execFileSync('filefrag', ['-sv', path], { encoding: 'utf8' })
  const extents = listing.split('\n').filter((line) => /^ *\d+: /.test(line))
  return extents.length > 0 && extents.every((line) => /\bshared\b/.test(line))
}
