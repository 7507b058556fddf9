/** 128-bit identifiers (machine IDs, UUIDs). */
import { usageError } from '../../errors.ts'

/**
 * 32 hexadecimal digits, plain or grouped 8-4-4-4-12, as 32 lower-case digits.
 *
 * @throws NspawnError (`USAGE`) for another shape and for all zeroes, which machine-id(5) forbids
 */
export function parseId128(text: string): string {
  const grouped = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
  if (!/^[0-9a-f]{32}$/i.test(text) && !grouped.test(text)) {
    throw usageError(
      `"${text}" is not a UUID`,
      'write 32 hexadecimal digits, with dashes or without',
    )
  }
  const id = text.replaceAll('-', '').toLowerCase()
  if (/^0+$/.test(id)) throw usageError('the machine UUID may not be all zeroes')
  return id
}
