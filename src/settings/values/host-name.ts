/** Host names, and so machine names, as hostname(7) and systemd have them. */
import { usageError } from '../../errors.ts'

/**
 * Labels of letters, digits and inner hyphens, joined by single dots, 64 characters at most (the
 * kernel's limit).
 */
export function isHostName(text: string): boolean {
  return (
    text.length <= 64 &&
    /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/.test(
      text,
    )
  )
}

/** @throws NspawnError (`USAGE`) when `text` cannot name what `what` says ("host", "machine") */
export function parseHostName(text: string, what: 'host' | 'machine'): string {
  if (isHostName(text)) return text
  throw usageError(
    `invalid ${what} name "${text}"`,
    'use letters, digits and inner hyphens, in labels separated by dots, 64 characters at most',
  )
}
