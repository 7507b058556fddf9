/** Values of `--private-users=`. */
import { usageError } from '../../errors.ts'
import type { PrivateUsers } from '../settings.ts'
import { unsupported } from '../unsupported.ts'
import { booleanWord } from './boolean.ts'
import { parseIntegerBetween } from './number.ts'

const managedInstead =
  'it asks systemd-nsresourced of systemd 258 for a range, which hosts without it cannot; pick takes an unused one'
const defaultLength = 0x10000
/** −1 in 32 and in 16 bits: system calls take them for "unchanged" or "invalid". */
const invalidIds: readonly number[] = [0xffffffff, 0xffff]

/**
 * `no`, `yes`, `pick`, `identity` or `BASE[:LENGTH]`. Digits are always a base, so `0` and `1` are
 * not booleans here.
 *
 * @param text undefined when the option came without a value
 * @throws NspawnError (`USAGE`)
 */
export function parsePrivateUsers(text: string | undefined): PrivateUsers {
  if (text === undefined) return { mode: 'owner' }
  if (text === 'pick' || text === 'identity') return { mode: text }
  if (text === 'managed') throw unsupported('user namespace mode "managed"', managedInstead)
  if (!/^\d/.test(text)) {
    const truth = booleanWord(text)
    if (truth === undefined) {
      throw usageError(
        `"${text}" is not a user namespace mode`,
        'use no, yes, pick, identity, or the first user ID with an optional count, BASE:COUNT',
      )
    }
    return truth ? { mode: 'owner' } : { mode: 'no' }
  }
  const [, digits = '', count] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  const base = /^(?:0|[1-9]\d*)$/.test(digits) ? Number(digits) : NaN
  if (!(base <= 0xffffffff) || invalidIds.includes(base)) {
    throw usageError(`"${digits}" is not a user ID that a range can start with`)
  }
  const length = count === undefined ? defaultLength : parseIntegerBetween(count, 0, 0xffffffff)
  if (length === undefined) throw usageError(`"${count}" is not a number of user IDs`)
  if (length === 0 || base + length > 0xffffffff) {
    throw usageError('the range of user IDs may not be empty or go beyond 4294967295')
  }
  return { mode: 'range', base, length }
}
