/** Escapes as C string literals have them: how bytes that no command line can hold are written on one. */

const letters: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  s: 0x20,
  t: 0x09,
  v: 0x0b,
  '\\': 0x5c,
  '"': 0x22,
  "'": 0x27,
}

/** What stands behind the backslash, as one capturing group a kind. */
const escape = /x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([\s\S])/y
const HIGHEST_CODE_POINT = 0x10ffff

/**
 * The bytes that `text` stands for: UTF-8, with `\n` and its like, `\s` (a blank), `\xHH`, `\OOO`, `\uHHHH` and
 * `\UHHHHHHHH` replaced. A NUL is a byte like any other.
 *
 * @returns undefined where a backslash is followed by something else
 */
export function unescapeBytes(text: string): Uint8Array | undefined {
  const parts: Uint8Array[] = []
  for (let at = 0; at < text.length;) {
    const backslash = text.indexOf('\\', at)
    const plain = text.slice(at, backslash < 0 ? undefined : backslash)
    parts.push(Buffer.from(plain))
    if (backslash < 0) break
    escape.lastIndex = backslash + 1
    const match = escape.exec(text)
    const bytes = match === null ? undefined : escapedBytes(match)
    if (bytes === undefined) return undefined
    parts.push(bytes)
    at = escape.lastIndex
  }
  return Buffer.concat(parts)
}

function escapedBytes(match: RegExpExecArray): Uint8Array | undefined {
  const [, hexadecimal, short, long, octal, letter = ''] = match
  if (hexadecimal !== undefined) return Buffer.of(Number.parseInt(hexadecimal, 16))
  if (octal !== undefined) return Buffer.of(Number.parseInt(octal, 8))
  const codePoint = short ?? long
  if (codePoint === undefined) {
    const byte = letters[letter]
    return byte === undefined ? undefined : Buffer.of(byte)
  }
  const number = Number.parseInt(codePoint, 16)
  return number > HIGHEST_CODE_POINT ? undefined : Buffer.from(String.fromCodePoint(number))
}
