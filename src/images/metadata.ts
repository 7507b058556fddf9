/** What a tree says of itself: its host name, its identity and its system. Read as hostile: nothing leads out of it. */
import { constants, fstatSync, openSync, readSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { isMachineName } from '../machine-name.ts'
import { close, O_DIRECTORY } from '../sys/fd.ts'
import { openInRootIfPresent } from '../sys/openat2.ts'
import { parseOsRelease, type OsRelease } from './os-release.ts'

export interface ImageMetadata {
  readonly hostname: string | undefined
  /** 32 hexadecimal digits; undefined for an image that waits for its first boot. */
  readonly machineId: string | undefined
  /** @see machine-info(5) */
  readonly machineInfo: OsRelease
  readonly osRelease: OsRelease | undefined
}

/** More than any of these files has; what is longer is not read. */
const FILE_MAX = 1 << 16

const osReleasePaths = ['/etc/os-release', '/usr/lib/os-release']

/**
 * Reads the tree at `root`, which may be in use.
 *
 * @param paths where os-release can be, first hit first
 */
export function readImageMetadata(
  root: string,
  paths: readonly string[] = osReleasePaths,
): ImageMetadata {
  const fd = openSync(root, constants.O_RDONLY | O_DIRECTORY)
  try {
    const osRelease = paths.map((path) => textIn(fd, path)).find((text) => text !== undefined)
    return {
      hostname: firstHostname(textIn(fd, '/etc/hostname') ?? ''),
      machineId: machineId(textIn(fd, '/etc/machine-id') ?? ''),
      machineInfo: parseOsRelease(textIn(fd, '/etc/machine-info') ?? ''),
      osRelease: osRelease === undefined ? undefined : parseOsRelease(osRelease),
    }
  } finally {
    close(fd)
  }
}

/** Undefined for what is no regular file, or not to be had. */
function textIn(root: number, path: string): string | undefined {
  let fd: number | undefined
  try {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
    fd = openInRootIfPresent(root, path, flags)
    if (fd === undefined || !fstatSync(fd).isFile()) return undefined
    const bytes = Buffer.alloc(FILE_MAX)
    return bytes.toString('utf8', 0, readSync(fd, bytes))
  } catch (error) {
    if (error instanceof NspawnError) return undefined
    throw error
  } finally {
    if (fd !== undefined) close(fd)
  }
}

/** @see hostname(5): comments and empty lines are skipped */
function firstHostname(text: string): string | undefined {
  const line = text
    .split('\n')
    .map((each) => each.trim())
    .find((each) => each !== '' && !each.startsWith('#'))
  return line !== undefined && isMachineName(line) ? line : undefined
}

/** @see machine-id(5) */
function machineId(text: string): string | undefined {
  const id = text.trim().replaceAll('-', '').toLowerCase()
  return /^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id) ? id : undefined
}
