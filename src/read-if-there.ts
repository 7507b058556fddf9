/** Files that may be missing without being missed. */
import { readFileSync } from 'node:fs'

/** For `catch`: undefined where there is no such file. @throws whatever else it is */
export function missing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw error
}

/** @returns the text; empty when there is no such file */
export function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
