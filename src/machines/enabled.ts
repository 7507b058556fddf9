/**
 * Machines that are to start with the host: units that are enabled where systemd is the host's init, elsewhere a
 * directory of links to images, one a machine, which a boot script has started with `start --enabled`.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { usageError } from '../errors.ts'
import { requireImage, standardImagePath, type Image } from '../images/discover.ts'
import { checkMachineName, isMachineName } from '../machine-name.ts'
import { configDirectory, packageDirectory } from '../paths.ts'
import { runProgram } from '../process.ts'
import { serviceCommand } from './service.ts'

const UNIT_DIRECTORY = '/etc/systemd/system'
const TEMPLATE = 'tsnspawn@.service'

/** Whether systemd is the host's init (sd_booted(3)). */
export function isSystemdHost(): boolean {
  return existsSync('/run/systemd/system')
}

/** Where the links lie on hosts without systemd. */
export function enabledDirectory(): string {
  return join(configDirectory(), 'machines')
}

export interface EnabledMachine {
  readonly name: string
  /** Where its image lay when it was enabled. */
  readonly machinesDirectory: string
}

/**
 * The image that a machine of this name would be started from.
 *
 * @param machinesDirectory `--machines-dir`; undefined for the standard places
 * @throws NspawnError `IMAGE_NOT_FOUND`; `USAGE` when no machine can be called so, or when systemd, whose unit knows
 *   nothing of our options and environment, would take another image
 */
export function requireStartable(name: string, machinesDirectory: string | undefined): Image {
  checkMachineName(name)
  const image = requireImage(name, machinesDirectory)
  if (!isSystemdHost()) return image
  const places = standardImagePath.map((place) => join(place, basename(image.path)))
  const found = places.find((path) => existsSync(path))
  if (found !== undefined && realpathSync(found) === realpathSync(image.path)) return image
  throw usageError(
    `machine ${name} would be started by systemd, whose unit does not look in ${dirname(image.path)}`,
    `put the image, or a symlink to it, into /var/lib/machines`,
  )
}

/** The machines that are enabled, by name. */
export function enabledMachines(): EnabledMachine[] {
  try {
    return readdirSync(enabledDirectory())
      .filter(isMachineName)
      .toSorted()
      .map((name) => ({
        name,
        machinesDirectory: dirname(readlinkSync(join(enabledDirectory(), name))),
      }))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return []
  }
}

/**
 * Enables a machine by a link to its image.
 *
 * @returns the link, or undefined when it was there already
 */
export function enableByLink(name: string, imagePath: string): string | undefined {
  const link = join(enabledDirectory(), name)
  mkdirSync(enabledDirectory(), { recursive: true, mode: 0o755 })
  try {
    symlinkSync(imagePath, link)
    return link
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (readlinkSync(link) === imagePath) return undefined
    unlinkSync(link)
    symlinkSync(imagePath, link)
    return link
  }
}

/** @returns the link that was removed, or undefined when the machine was not enabled */
export function disableByLink(name: string): string | undefined {
  const link = join(enabledDirectory(), name)
  try {
    unlinkSync(link)
    return link
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}

/** The unit's text, with this very installation's command line. */
export function unitText(): string {
  const path = join(packageDirectory(dirname(import.meta.filename)), 'templates/systemd', TEMPLATE)
  const command = serviceCommand('%i', 'kept', undefined).map(quoted).join(' ')
  return readFileSync(path, 'utf8').replace('@COMMAND@', () => command)
}

/** A word of a command line in a unit file (systemd.service(5), "Command lines"). */
function quoted(word: string): string {
  const escaped = word.replace(/[\\"$]/g, (char) => (char === '$' ? '$$' : `\\${char}`))
  const plain = word.endsWith('%i') ? escaped : escaped.replaceAll('%', '%%')
  return /[\s'"]/.test(plain) ? `"${plain}"` : plain
}

/**
 * Puts the unit where systemd finds it, unless it is there.
 *
 * @param root of the system that it is for
 */
export function installUnit(root = '/'): void {
  const path = join(root, UNIT_DIRECTORY, TEMPLATE)
  const text = unitText()
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, text, { mode: 0o644 })
  renameSync(`${path}.new`, path)
}

/**
 * Runs systemctl on the units of machines.
 *
 * @returns what it said, line by line
 */
export async function systemctl(
  verb: 'start' | 'enable' | 'disable',
  names: readonly string[],
): Promise<string[]> {
  await runProgram('cannot reload systemd', ['systemctl', 'daemon-reload'])
  const units = names.map((name) => `tsnspawn@${name}.service`)
  const { stdout, stderr } = await runProgram(`cannot ${verb} machines`, [
    'systemctl',
    verb,
    '--',
    ...units,
  ])
  return [stdout, stderr].flatMap((text) => (text === '' ? [] : text.split('\n')))
}
