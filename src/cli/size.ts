/** Sizes as systemd's tools write and read them: base 1024. */
import { usageError } from '../errors.ts'

/** Bytes with one decimal and a letter: `8.0M`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T', 'P']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return unit === 0 ? `${bytes}B` : `${value.toFixed(1)}${units[unit]}`
}

/**
 * A limit in bytes: `1.5G`, `300M`, `4096`; `-`, `none` and `infinity` are no limit.
 *
 * @throws NspawnError `USAGE`
 */
export function parseLimit(text: string): number | undefined {
  if (['-', 'none', 'infinity'].includes(text)) return undefined
  const match = /^(\d+(?:\.\d+)?)([KMGTPE]?)B?$/.exec(text)
  const bytes = Math.floor(Number(match?.[1]) * 1024 ** ' KMGTPE'.indexOf(match?.[2] || ' '))
  if (match === null || !Number.isFinite(bytes))
    throw usageError(
      `"${text}" is no size`,
      'a size is a number with K, M, G, T, P or E, or "none"',
    )
  return bytes
}
