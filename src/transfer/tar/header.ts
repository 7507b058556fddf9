/**
 * One header block of a tar archive, in the forms that exist: V7, POSIX ustar and GNU.
 *
 * Archives are packed with tar-stream, but not read with it: it skips to the wrong place after the extension blocks of
 * old GNU sparse files, makes UTF-8 of PAX records (which breaks file capabilities and names that are other bytes), and
 * its header decoder cannot be had alone. Strings here have one character for each byte, so every name survives.
 */
import { NspawnError } from '../../errors.ts'
import { shownName } from '../../shown-name.ts'

export const BLOCK = 512

export interface RawHeader {
  /** The type flag as a character; an empty one is `'0'`. */
  readonly flag: string
  path: string
  link: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly modifiedSeconds: number
  readonly major: number
  readonly minor: number
}

/**
 * Reads a header block.
 *
 * @returns `'zeros'` for a block of zeros, undefined when the checksum shows that it is no header
 * @throws NspawnError `BAD_ARCHIVE` when the checksum is right and a number is none
 * @see tar(5), POSIX.1 pax "ustar Interchange Format"
 */
export function readHeader(block: Buffer): RawHeader | 'zeros' | undefined {
  let sum = 0
  for (let i = 0; i < BLOCK; i++) sum += block[i] as number
  if (sum === 0) return 'zeros'
  if (!isChecksum(block, sum)) return undefined
  const flag = block[156] === 0 ? '0' : block.toString('latin1', 156, 157)
  const device = flag === '3' || flag === '4'
  const path = textAt(block, 0, 100)
  const prefix = isPosix(block) ? textAt(block, 345, 155) : ''
  return {
    flag,
    path: prefix === '' ? path : `${prefix}/${path}`,
    link: textAt(block, 157, 100),
    mode: field(block, 100, 8, 'mode') & 0o7777,
    uid: field(block, 108, 8, 'owner'),
    gid: field(block, 116, 8, 'group'),
    size: field(block, 124, 12, 'size'),
    modifiedSeconds: field(block, 136, 12, 'time'),
    major: device ? field(block, 329, 8, 'device number') : 0,
    minor: device ? field(block, 337, 8, 'device number') : 0,
  }
}

/** Whether the block's checksum is the sum of its bytes, with blanks in the place of the checksum. */
function isChecksum(block: Buffer, sum: number): boolean {
  const told = numberAt(block, 148, 8)
  if (told === undefined) return false
  let blanked = sum
  for (let i = 148; i < 156; i++) blanked += 0x20 - (block[i] as number)
  if (told === blanked) return true
  // Some old writers added the bytes up as signed ones.
  for (let i = 0; i < BLOCK; i++) {
    if ((block[i] as number) > 127 && (i < 148 || i >= 156)) blanked -= 256
  }
  return told === blanked
}

function field(block: Buffer, at: number, length: number, what: string): number {
  const value = numberAt(block, at, length)
  if (value === undefined) throw badArchive(`its ${what} is no number`, textAt(block, 0, 100))
  return value
}

/** The block before PAX records of `size` bytes, which say something of the entry behind them. */
export function writeExtendedHeader(size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0')
  block.write('././@PaxHeader', 0)
  for (const at of [100, 108, 116]) block.write(octal(0, 7), at)
  block.write(octal(size, 11), 124)
  block.write(octal(0, 11), 136)
  block.write(' '.repeat(8), 148)
  block.write('x', 156)
  block.write('ustar\u{0}00', 257)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${octal(sum, 6)}\0 `, 148)
  return block
}

/** `ustar` and a NUL; GNU has a blank there, and other things than a prefix behind. */
function isPosix(block: Buffer): boolean {
  return block[262] === 0 && block.toString('latin1', 257, 262) === 'ustar'
}

/** Bytes up to the first NUL, one character each. */
export function textAt(block: Buffer, at: number, length: number): string {
  if (block[at] === 0) return ''
  const end = block.indexOf(0, at)
  return block.toString('latin1', at, end < 0 ? at + length : Math.min(end, at + length))
}

/**
 * A number in octal digits, or in base 256 when its first bit is set (GNU).
 *
 * @returns undefined when it is neither, or too large to count with
 */
export function numberAt(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] as number
  const end = at + length
  if (first & 0x80) {
    const negative = first === 0xff
    let value = negative ? -1 : first & 0x7f
    for (let i = at + 1; i < end; i++) value = value * 256 + (block[i] as number)
    return Number.isSafeInteger(value) ? value : undefined
  }
  let i = at
  while (i < end && block[i] === 0x20) i++
  let value = 0
  for (; i < end; i++) {
    const digit = (block[i] as number) - 0x30
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  if (i === end || block[i] === 0 || block[i] === 0x20) return value
  return undefined
}

/** The archive says something that cannot be, or (`TRUNCATED_ARCHIVE`) stops before its end. */
export function badArchive(
  why: string,
  entry: string | undefined,
  code: 'BAD_ARCHIVE' | 'TRUNCATED_ARCHIVE' | 'ARCHIVE_TOO_LARGE' = 'BAD_ARCHIVE',
): NspawnError {
  const what = entry === undefined ? 'archive' : `archive entry ${shownName(entry)}`
  return new NspawnError(`bad ${what}: ${why}`, {
    code,
    operation: 'unpack',
    subject: entry === undefined ? undefined : shownName(entry),
  })
}
