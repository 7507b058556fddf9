/** Lists of `--system-call-filter=`; what the names stand for is decided where the filter is made. */
import { usageError } from '../../errors.ts'
import type { SystemCallFilter } from '../settings.ts'

/**
 * Blank-separated call names and `@groups`; `~` as the first character makes it a list of denials.
 *
 * @throws NspawnError (`USAGE`) for an item that cannot be the name of a call or a group
 */
export function parseSystemCallFilter(text: string): SystemCallFilter {
  const denies = text.startsWith('~')
  const items = (denies ? text.slice(1) : text).split(/[ \t\n\r]+/).filter((item) => item !== '')
  for (const item of items) {
    if (!/^@?[A-Za-z0-9_-]+$/.test(item)) {
      throw usageError(
        `"${item}" is not the name of a system call or of a group`,
        item.startsWith('~')
          ? 'only the first character of the list can be ~, it then holds for all names'
          : 'separate names by blanks, and write groups as @name',
      )
    }
  }
  return denies ? { allow: [], deny: items } : { allow: items, deny: [] }
}
