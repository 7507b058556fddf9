/** Files that may be missing without being missed. */
import { readFileSync } from 'node:fs'

/** @returns the text; empty when there is no such file */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
