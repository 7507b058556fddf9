/** Which programs this host has. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Programs of the administrator are often outside a user's PATH (`su` without a dash). */
const administratorPaths = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** Absolute path of a program, or undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  for (const directory of [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...administratorPaths,
  ]) {
    if (directory === '') continue
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not here; the next directory may have it.
    }
  }
  return undefined
}
