/** What images may be called, and which machine name a tree or image gives when none was asked for. */
import { hostname } from 'node:os'
import { basename } from 'node:path'
import { NspawnError } from '../errors.ts'
import { machineNameFrom } from '../machine-name.ts'
import { randomSuffix } from './random-suffix.ts'

/**
 * Whether `name` can name an image: a file name without control characters, and not one of the hidden
 * names (`.#…`) that things being made or removed have.
 */
export function isImageName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.startsWith('.#')) return false
  if (Buffer.byteLength(name) > 255 || name.includes('\uFFFD')) return false
  // oxlint-disable-next-line no-control-regex -- refusing control characters is the point
  return !/[/\u0000-\u001f\u007f-\u009f]/.test(name)
}

/**
 * The machine name for a root tree or disk image.
 *
 * @param path absolute path of the tree or image; for `/` the host's own name is taken
 * @throws NspawnError, code `NO_MACHINE_NAME`, when no valid name can be made of it
 */
export function machineNameForRoot(path: string, kind: 'directory' | 'image'): string {
  const last = path === '/' ? hostname() : basename(path)
  const name = machineNameFrom(kind === 'image' ? last.replace(/\.raw$/, '') : last)
  if (name !== undefined) return name
  throw new NspawnError(`cannot make a machine name of ${path}`, {
    code: 'NO_MACHINE_NAME',
    operation: 'name machine',
    subject: path,
    hint: 'give one with --machine=',
  })
}

/**
 * The name of a throw-away machine: `name` and 16 hexadecimal digits, random unless given. A long name is cut, so
 * that the result is a machine name still.
 */
export function ephemeralMachineName(name: string, suffix: string = randomSuffix()): string {
  return `${name.slice(0, 47).replace(/[.-]+$/, '')}-${suffix}`
}
