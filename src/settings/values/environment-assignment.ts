/** Assignments of `--setenv=`. */
import { usageError } from '../../errors.ts'

/**
 * `NAME=VALUE`, or `NAME` alone for the value it has in `caller` (empty when it has none).
 *
 * @throws NspawnError (`USAGE`) for a name that a shell could not use
 */
export function parseAssignment(
  text: string,
  caller: Readonly<Record<string, string | undefined>>,
): { name: string; value: string } {
  const at = text.indexOf('=')
  const name = at < 0 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw usageError(
      `"${name}" cannot name an environment variable`,
      'use letters, digits and underscores, and no digit first',
    )
  }
  const own = Object.hasOwn(caller, name) ? caller[name] : undefined
  return { name, value: at < 0 ? (own ?? '') : text.slice(at + 1) }
}
