/** What verbs that run code in throw-away containers read alike: `build` and `test`. */
import { resolve } from 'node:path'
import { usageError } from '../errors.ts'
import { requireImage } from '../images/discover.ts'

/**
 * The tree that a name stands for: an image, or a path with a slash.
 *
 * @throws NspawnError `IMAGE_NOT_FOUND`
 */
export function treePath(name: string, machinesDirectory: string): string {
  return name.includes('/') ? resolve(name) : requireImage(name, machinesDirectory).path
}

/** What `--setenv` says, each time. */
export function variablesOf(assignments: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    assignments.map((assignment) => {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(assignment) ?? []
      if (name === undefined || value === undefined)
        throw usageError(`not a variable: ${assignment}`, 'write NAME=VALUE')
      return [name, value]
    }),
  )
}

/** Who called sudo: results shall belong to them. */
export function invokingUser(): { uid: number; gid: number } | undefined {
  const uid = Number(process.env['SUDO_UID'] ?? NaN)
  const gid = Number(process.env['SUDO_GID'] ?? NaN)
  return Number.isSafeInteger(uid) && Number.isSafeInteger(gid) ? { uid, gid } : undefined
}

export function proxyVariables(): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'ftp_proxy', 'all_proxy', 'no_proxy']
  const entries = [...names, ...names.map((name) => name.toUpperCase())].map(
    (name) => [name, process.env[name]] as const,
  )
  return Object.fromEntries(
    entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined),
  )
}
