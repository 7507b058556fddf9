/** The configuration of an OCI runtime bundle, read from its directory; what is in it is for `settings/` to say. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import type { BundleText } from '../settings/oci/config.ts'

/** Longer than any that somebody wrote, and nothing that memory could run short of. */
const MAX_BYTES = 16 << 20

/**
 * @param directory absolute
 * @throws NspawnError `NO_BUNDLE` when there is no `config.json` that could be read
 */
export function readBundle(directory: string): BundleText {
  const path = join(directory, 'config.json')
  try {
    // Never waits, whatever somebody put there.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    try {
      const stat = fstatSync(fd)
      if (!stat.isFile()) throw unreadable(path, 'NO_BUNDLE', 'is no regular file')
      if (stat.size > MAX_BYTES) throw unreadable(path, 'NO_BUNDLE', 'is too long')
      return { directory, path, bytes: readFileSync(fd) }
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (error instanceof NspawnError) throw error
    const { code = 'BUG' } = error as NodeJS.ErrnoException
    throw unreadable(path, code, code === 'ENOENT' ? 'does not exist' : 'cannot be read')
  }
}

function unreadable(path: string, code: string, what: string): NspawnError {
  return new NspawnError(`the configuration of the bundle ${what}`, {
    code,
    operation: 'open',
    subject: path,
    hint: 'name a directory with a config.json in it; "runc spec" and "crun spec" write one',
  })
}
