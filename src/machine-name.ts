/**
 * What a machine may be called. A machine name is the container's host name and shows up in paths, so
 * settings, images and the registry must agree on one rule.
 */
import { usageError } from './errors.ts'

/** Longest machine name: HOST_NAME_MAX of Linux. */
export const MACHINE_NAME_MAX = 64

/**
 * Whether `name` can name a machine: a host name of 1 to 64 characters, labels of letters, digits and
 * inner hyphens, divided by single dots.
 *
 * @see hostname(7)
 */
export function isMachineName(name: string): boolean {
  if (name.length > MACHINE_NAME_MAX) return false
  return /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(
    name,
  )
}

/** @throws NspawnError (`USAGE`) for what cannot name a machine */
export function checkMachineName(name: string): void {
  if (!isMachineName(name)) throw usageError(`"${name}" is not a machine name`)
}

/**
 * The machine name closest to `text`: characters that no host name has are dropped, and so are dots
 * and hyphens where none may stand.
 *
 * @returns undefined when nothing is left
 */
export function machineNameFrom(text: string): string | undefined {
  const labels = text
    .replace(/[^A-Za-z0-9.-]/g, '')
    .split('.')
    .map((label) => label.replace(/^-+|-+$/g, ''))
    .filter((label) => label !== '')
  const name = labels
    .join('.')
    .slice(0, MACHINE_NAME_MAX)
    .replace(/[.-]+$/, '')
  return name === '' ? undefined : name
}
