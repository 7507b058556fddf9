/** Where the `.nspawn` file of a machine lies; what is in it is for `settings/` to say. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { SettingsFileText } from '../settings/file/settings-file.ts'
import { SETTINGS_FILE_MAX } from '../settings/file/syntax.ts'

/** Only the administrator of the host writes here, so files may say everything. */
const trustedDirectories = ['/etc/systemd/nspawn', '/run/systemd/nspawn']

/**
 * The first of the files that hold for a machine: an administrator's, else the one beside its image.
 *
 * @param machine its name, without the suffix of a throw-away copy
 * @param image path of its root directory or disk image; `/` has nothing beside it
 * @returns undefined when there is none
 * @throws NspawnError when one is there and cannot be read
 * @see systemd.nspawn(5), ".nspawn File Discovery"
 */
export function findSettingsFile(machine: string, image: string): SettingsFileText | undefined {
  const places = [
    ...trustedDirectories.map((directory) => ({ directory, trusted: true })),
    ...(image === '/' ? [] : [{ directory: dirname(image), trusted: false }]),
  ]
  for (const { directory, trusted } of places) {
    const path = join(directory, `${machine}.nspawn`)
    const bytes = readRegularFile(path)
    if (bytes !== undefined) return { path, bytes, trusted }
  }
  return undefined
}

function readRegularFile(path: string): Uint8Array | undefined {
  try {
    // Never waits, whatever somebody put there.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    try {
      if (!fstatSync(fd).isFile()) throw unreadable(path, 'is no regular file', 'NOT_A_FILE')
      // One more than is taken, to tell a file that is too long.
      const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, SETTINGS_FILE_MAX + 1))
      let length = 0
      for (let got = -1; got !== 0 && length < bytes.length; length += got)
        got = readSync(fd, bytes, length, bytes.length - length, null)
      return bytes.subarray(0, length)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (error instanceof NspawnError) throw error
    const { code = 'BUG' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw unreadable(path, 'cannot be read', code)
  }
}

function unreadable(path: string, what: string, code: string): NspawnError {
  return new NspawnError(`settings file ${path} ${what}`, {
    code,
    operation: 'open',
    hint: 'leave it out with --settings=no',
  })
}
