/** Paths as words: no look at the file system, so `..` stays, for a symlink may stand before it. */
import { usageError } from '../../errors.ts'

/** Drops repeated slashes, `.` and a slash at the end from an absolute path. */
export function simplifyPath(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`
}

/** `path` made absolute against `directory`, and simplified. */
export function absolutePath(path: string, directory: string): string {
  return simplifyPath(path.startsWith('/') ? path : `${directory}/${path}`)
}

/** @throws NspawnError (`USAGE`) when `path` is not absolute; `what` says what it is for */
export function requireAbsolute(path: string, what: string): string {
  if (!path.startsWith('/')) throw usageError(`${what} "${path}" is not an absolute path`)
  return simplifyPath(path)
}

/**
 * A working directory in the container: absolute, without `..`, and not among the kernel's own file
 * systems, where a path can mean another thing once the container runs.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseWorkingDirectory(text: string): string {
  const path = requireAbsolute(text, 'working directory')
  if (path.split('/').includes('..')) {
    throw usageError(`working directory "${text}" contains ".."`)
  }
  if (/^\/(?:dev|proc|sys)(?:\/|$)/.test(path)) {
    throw usageError(`working directory "${text}" lies below /dev, /proc or /sys`)
  }
  return path
}
