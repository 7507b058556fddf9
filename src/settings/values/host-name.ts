/** Host names, and so machine names, as hostname(7) and systemd have them. */
import { usageError } from '../../errors.ts'
import { isMachineName } from '../../machine-name.ts'

/** @throws NspawnError (`USAGE`) when `text` cannot name what `what` says ("host", "machine") */
export function parseHostName(text: string, what: 'host' | 'machine'): string {
  if (isMachineName(text)) return text
  throw usageError(
    `invalid ${what} name "${text}"`,
    'use letters, digits and inner hyphens, in labels separated by dots, 64 characters at most',
  )
}
