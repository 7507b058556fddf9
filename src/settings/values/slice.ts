/** Names of slice units (systemd.slice(5)). */
import { usageError } from '../../errors.ts'

/** @throws NspawnError (`USAGE`); `.slice` is added where it is missing */
export function parseSlice(text: string): string {
  const stem = text.endsWith('.slice') ? text.slice(0, -'.slice'.length) : text
  const parts = stem === '-' ? [] : stem.split('-')
  if (!/^[A-Za-z0-9:_.\\-]+$/.test(stem) || parts.includes('')) {
    throw usageError(
      `"${text}" cannot name a slice`,
      'use letters, digits and ":_.", with "-" between the name of a slice and those above it',
    )
  }
  return `${stem}.slice`
}
