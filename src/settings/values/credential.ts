/** Values of `--set-credential=` and `--load-credential=` (systemd.exec(5), "Credentials"). */
import { usageError } from '../../errors.ts'
import type { Caller } from '../draft.ts'
import type { Credential } from '../settings.ts'
import { unescapeBytes } from './c-escapes.ts'
import { splitFields } from './mount-spec.ts'
import { absolutePath } from './path.ts'

/** Names that are good for a file and for a passed descriptor: printable ASCII without `/` and `:`. */
function isCredentialName(text: string): boolean {
  return /^[ -.0-9;-~]{1,255}$/.test(text) && text !== '.' && text !== '..'
}

function splitName(text: string): { name: string; rest: string } {
  const { fields, rest } = splitFields(text, 1)
  const [name = ''] = fields
  if (rest === undefined) throw usageError(`"${text}" is not a name, a colon and a value`)
  if (!isCredentialName(name)) {
    throw usageError(
      `"${name}" cannot name a credential`,
      'use at most 255 printable ASCII characters, without "/" and ":"',
    )
  }
  return { name, rest }
}

/**
 * `ID:VALUE`, with the escapes of C in the value.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseSetCredential(text: string): Credential {
  const { name, rest } = splitName(text)
  const bytes = unescapeBytes(rest)
  if (bytes === undefined) {
    throw usageError(
      `"${rest}" has an escape sequence that C does not know`,
      'write a backslash as \\\\',
    )
  }
  return { name, source: { kind: 'value', base64: Buffer.from(bytes).toString('base64') } }
}

/**
 * `ID:PATH`; a path without a slash is the name of a credential that the caller was given itself.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseLoadCredential(text: string, { cwd, env }: Caller): Credential {
  const { name, rest } = splitName(text)
  if (rest.includes('/')) return { name, source: { kind: 'file', path: absolutePath(rest, cwd) } }
  if (!isCredentialName(rest)) throw usageError(`"${rest}" is neither a path nor a credential`)
  const directory = env['CREDENTIALS_DIRECTORY']
  if (directory === undefined || !directory.startsWith('/')) {
    throw usageError(
      `credential "${rest}" is not available: no credentials were passed to the caller`,
      `a file in the current directory is written ./${rest}`,
    )
  }
  return { name, source: { kind: 'file', path: absolutePath(rest, directory) } }
}
