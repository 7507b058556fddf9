/** Where the data of a sparse file lie: the map in its four forms, old GNU and PAX 0.0, 0.1 and 1.0. */
import { badArchive, BLOCK, numberAt } from './header.ts'

export interface SparseMap {
  /** Length of the file with its holes. */
  readonly size: number
  /** Offsets and lengths of the data by turns, ascending. */
  readonly segments: readonly number[]
}

/** More pieces than this are an attack on memory: half a terabyte in holes of 512 KiB has a million. */
const SEGMENTS_MAX = 1 << 20

/**
 * Checks a map: ascending, within the file, and as long as the data that are stored.
 *
 * @throws NspawnError `BAD_ARCHIVE`
 */
export function checkedMap(
  size: number,
  segments: readonly number[],
  stored: number,
  entry: string,
): SparseMap {
  let end = 0
  let sum = 0
  for (let i = 0; i < segments.length; i += 2) {
    const [offset, length] = [segments[i] as number, segments[i + 1] as number]
    if (offset < end || length < 0) throw badSparse(entry)
    end = offset + length
    sum += length
  }
  if (end > size || sum !== stored || segments.length % 2 !== 0) throw badSparse(entry)
  return { size, segments }
}

export function badSparse(entry: string): Error {
  return badArchive('its map of holes is damaged', entry)
}

/**
 * Adds the pieces that a block of the old GNU form names.
 *
 * @param at of the first piece in the block
 * @param count how many the block has room for
 */
export function addOldPieces(
  segments: number[],
  block: Buffer,
  at: number,
  count: number,
  entry: string,
): void {
  for (let i = 0; i < count; i++) {
    const from = at + i * 24
    if (block[from] === 0 && block[from + 12] === 0) return
    const offset = numberAt(block, from, 12)
    const length = numberAt(block, from + 12, 12)
    if (offset === undefined || length === undefined) throw badSparse(entry)
    segments.push(offset, length)
    if (segments.length > 2 * SEGMENTS_MAX) throw badSparse(entry)
  }
}

/** The map of PAX 0.1: all numbers in one record, with commas. */
export function readCommaMap(text: string, entry: string): number[] {
  if (text === '') return []
  if (!/^[0-9]+(?:,[0-9]+)*$/.test(text)) throw badSparse(entry)
  return text.split(',').map(Number)
}

/** The map of PAX 1.0, which lies before the data: a count, then the numbers, a line each. */
export class LeadingMap {
  readonly segments: number[] = []
  private wanted = -1
  private line = ''
  private readonly entry: string

  constructor(entry: string) {
    this.entry = entry
  }

  /** Takes one block. @returns true when the map is complete; the data begin with the next block */
  add(block: Uint8Array): boolean {
    for (let i = 0; i < BLOCK; i++) {
      const byte = block[i] as number
      if (byte !== 0x0a) {
        if (byte < 0x30 || byte > 0x39 || this.line.length > 16) throw badSparse(this.entry)
        this.line += String.fromCharCode(byte)
        continue
      }
      if (this.line === '') throw badSparse(this.entry)
      const value = Number(this.line)
      this.line = ''
      if (this.wanted < 0) {
        if (value > SEGMENTS_MAX) throw badSparse(this.entry)
        this.wanted = 2 * value
      } else this.segments.push(value)
      if (this.segments.length === this.wanted) return true
    }
    return false
  }
}

/** The map of PAX 1.0 as it is written, filled up to whole blocks. */
export function writeLeadingMap(segments: readonly number[]): Buffer {
  const text = Buffer.from(`${[segments.length / 2, ...segments].join('\n')}\n`)
  return Buffer.concat([text, Buffer.alloc(-text.length & (BLOCK - 1))])
}
