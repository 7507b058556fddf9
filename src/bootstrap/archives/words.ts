/** What a user may say for the parts of an archive; nothing of it can reach a tool as an option. */
import { usageError } from '../../errors.ts'
import { withoutPasswords } from '../../url-secrets.ts'

export type MirrorOrigin = 'option' | 'host' | 'recipe'

/**
 * A URL without a slash at its end. Only schemes that the tools know; a path becomes a `file:` URL.
 *
 * @param option that it was said with
 * @throws NspawnError `USAGE`
 */
export function mirrorUrl(said: string, option = '--mirror'): string {
  if (said.startsWith('/')) return `file://${said.replace(/\/+$/, '')}`
  if (!/^(https?:\/\/[^\s/]|file:\/\/\/|copy:\/\/\/)[^\s]*$/.test(said)) {
    throw usageError(
      `${option}=${withoutPasswords(said)} is no URL of an archive`,
      'use http://, https:// or the path of a local archive',
    )
  }
  return said.replace(/\/+$/, '')
}

/** @throws NspawnError `USAGE` */
export function plainWord(what: string, text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9.+_-]*(\/[A-Za-z0-9][A-Za-z0-9.+_-]*){0,2}$/.test(text)) return text
  throw usageError(`${JSON.stringify(text)} cannot be a ${what}`)
}
