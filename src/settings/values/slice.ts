/** Names of slice units (systemd.slice(5)), made of what users write as systemctl(1) makes them. */
import { usageError } from '../../errors.ts'

export interface SliceName {
  /** With `.slice`. */
  readonly name: string
  /** Some of what was written could not be kept as it was. */
  readonly escaped: boolean
}

/** @throws NspawnError (`USAGE`) where escaping makes no slice of it either */
export function parseSlice(text: string): SliceName {
  const stem = text.endsWith('.slice') ? text.slice(0, -'.slice'.length) : text
  const name = escapeUnitName(stem)
  const parts = name === '-' ? [] : name.split('-')
  const otherUnit = /\.(?:service|socket|device|mount|automount|swap|target|path|timer|scope)$/
  if (text.startsWith('/') || parts.includes('') || otherUnit.test(name) || name.length > 249) {
    throw usageError(
      `"${text}" cannot name a slice`,
      'write "-" between the name of a slice and those above it, and nowhere else',
    )
  }
  return { name: `${name}.slice`, escaped: name !== stem }
}

/** A slash becomes a dash, any other byte that unit names may not have `\xHH` (systemd.unit(5)). */
function escapeUnitName(text: string): string {
  return Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte)
    if (character === '/') return '-'
    return /[A-Za-z0-9:_.\\-]/.test(character)
      ? character
      : `\\x${byte.toString(16).padStart(2, '0')}`
  }).join('')
}
