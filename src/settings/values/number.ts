/** Whole numbers as systemd reads them: leading blanks, a sign, and C's prefixes for other bases. */

const notation = /^\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))$/

/** The number in `text`, or undefined where there is none; `010` is octal. */
export function parseInteger(text: string): bigint | undefined {
  const match = notation.exec(text)
  if (match === null) return undefined
  const [, sign, hexadecimal, binary, octal, decimal] = match
  const digits =
    hexadecimal !== undefined
      ? `0x${hexadecimal}`
      : binary !== undefined
        ? `0b${binary}`
        : octal !== undefined
          ? `0o${octal}`
          : (decimal ?? '0')
  const magnitude = BigInt(digits)
  return sign === '-' ? -magnitude : magnitude
}

/** The same, between two bounds and as a plain number. */
export function parseIntegerBetween(text: string, least: number, most: number): number | undefined {
  const value = parseInteger(text)
  return value === undefined || value < least || value > most ? undefined : Number(value)
}
