/**
 * The header of an rpm package, read from its file: tags with values, see "RPM V4 Package format" of rpm's manual. The
 * lead and the header of signatures before it are passed over: nobody has signed what was built here.
 */
import { open, type FileHandle } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'

export interface RpmHeader {
  /** First byte of the header in the file, and the one behind its last. */
  readonly start: number
  readonly end: number
  /** All values of a tag of strings; none where it is missing. */
  strings(tag: number): readonly string[]
  /** The same of a tag of integers. */
  numbers(tag: number): readonly number[]
}

const leadBytes = 96
const preambleBytes = 16
const entryBytes = 16
/** rpm itself refuses larger ones. */
const headerLimitBytes = 256 * 1024 ** 2

const magic = 0x8eade801
const leadMagic = 0xedabeedb

/** Types of values, as rpm numbers them. */
const stringTypes = [6, 8, 9]
const integerBytes: Readonly<Record<number, 1 | 2 | 4 | 8>> = { 1: 1, 2: 1, 3: 2, 4: 4, 5: 8 }

/**
 * Reads the header.
 *
 * @throws NspawnError `BAD_PACKAGE`, an errno name
 */
export async function readRpmHeader(path: string): Promise<RpmHeader> {
  await using file = await open(path)
  const lead = await read(file, 0, leadBytes, path)
  if (lead.readUInt32BE(0) !== leadMagic) throw bad('it is no rpm package', path)
  const signatures = await sizesAt(file, leadBytes, path)
  // The header of signatures is filled up to a multiple of eight.
  const start = leadBytes + signatures.total + ((8 - (signatures.total % 8)) % 8)
  const { entries, total } = await sizesAt(file, start, path)
  const whole = await read(file, start, total, path)
  const index = whole.subarray(preambleBytes, preambleBytes + entries * entryBytes)
  const store = whole.subarray(preambleBytes + entries * entryBytes)
  return { start, end: start + total, ...tagsOf(index, store, path) }
}

function tagsOf(
  index: Buffer,
  store: Buffer,
  path: string,
): Pick<RpmHeader, 'strings' | 'numbers'> {
  const entries = new Map<number, { type: number; offset: number; count: number }>()
  for (let at = 0; at < index.length; at += entryBytes) {
    const [tag, type] = [index.readUInt32BE(at), index.readUInt32BE(at + 4)]
    entries.set(tag, {
      type,
      offset: index.readUInt32BE(at + 8),
      count: index.readUInt32BE(at + 12),
    })
  }
  const beyond = () => bad('its header is broken', path)
  return {
    strings: (tag) => {
      const entry = entries.get(tag)
      if (entry === undefined || !stringTypes.includes(entry.type)) return []
      const found: string[] = []
      let at = entry.offset
      for (let left = entry.count; left > 0; left--) {
        const end = store.indexOf(0, at)
        if (end < 0) throw beyond()
        found.push(store.toString('utf8', at, end))
        at = end + 1
      }
      return found
    },
    numbers: (tag) => {
      const entry = entries.get(tag)
      const bytes = integerBytes[entry?.type ?? 0]
      if (entry === undefined || bytes === undefined) return []
      if (entry.offset + entry.count * bytes > store.length) throw beyond()
      return Array.from({ length: entry.count }, (_, nth) => {
        const at = entry.offset + nth * bytes
        return bytes === 8 ? Number(store.readBigUInt64BE(at)) : store.readUIntBE(at, bytes)
      })
    },
  }
}

async function sizesAt(
  file: FileHandle,
  at: number,
  path: string,
): Promise<{ entries: number; total: number }> {
  const preamble = await read(file, at, preambleBytes, path)
  if (preamble.readUInt32BE(0) !== magic) throw bad('it has no header', path)
  const entries = preamble.readUInt32BE(8)
  const total = preambleBytes + entries * entryBytes + preamble.readUInt32BE(12)
  if (total > headerLimitBytes) throw bad('its header is larger than any', path)
  return { entries, total }
}

async function read(file: FileHandle, at: number, length: number, path: string): Promise<Buffer> {
  const { size } = await file.stat()
  if (at + length > size) throw bad('its end is missing', path)
  const buffer = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(buffer, done, length - done, at + done)
    if (bytesRead === 0) throw bad('its end is missing', path)
    done += bytesRead
  }
  return buffer
}

function bad(why: string, path: string): NspawnError {
  return new NspawnError(`cannot read the package: ${why}`, {
    code: 'BAD_PACKAGE',
    operation: 'read rpm header',
    subject: path,
  })
}
