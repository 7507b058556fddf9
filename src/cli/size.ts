/** Sizes as systemd's tools write them: base 1024. */

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
