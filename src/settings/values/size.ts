/** Sizes in bytes with 1024-based suffixes: `512M`, `1.5G`, `1G512M`. */

const suffixes = ['E', 'P', 'T', 'G', 'M', 'K', 'B', ''] as const
const part = /^\s*(\d+)(?:\.(\d*))?\s*([EPTGMKB]?)/

/**
 * Bytes in `text`, or undefined where it is no size or passes 64 bits. Several parts add up and must
 * get smaller from left to right.
 */
export function parseSize(text: string): bigint | undefined {
  let rest = text
  let total = 0n
  let smallestSoFar = -1
  do {
    const match = part.exec(rest)
    if (match === null) return undefined
    const [whole, digits = '0', fraction = '', suffix = ''] = match
    const rank = suffixes.indexOf(suffix as (typeof suffixes)[number])
    if (rank <= smallestSoFar) return undefined
    smallestSoFar = rank
    const factor = rank < 6 ? 1n << BigInt(10 * (6 - rank)) : 1n
    total += BigInt(digits) * factor
    if (fraction !== '') total += (BigInt(fraction) * factor) / 10n ** BigInt(fraction.length)
    if (total >= 1n << 64n) return undefined
    rest = rest.slice(whole.length)
  } while (rest !== '')
  return total
}
