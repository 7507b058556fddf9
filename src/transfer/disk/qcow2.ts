/**
 * Reads QEMU's qcow2 disk images, versions 2 and 3: where in the file each stretch of the disk is. The file is hostile:
 * every offset is checked against it, and nothing is sized by a number that it gives.
 *
 * @see QEMU, docs/interop/qcow2.txt
 */
import { fstatSync, readSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'

const MAGIC = 0x514649fb
const HEADER_2_BYTES = 72
const HEADER_3_BYTES = 104
const SECTOR = 512
/** The most that QEMU itself takes: 32 Mi entries. */
const L1_ENTRIES_MAX = 32 << 20
/** The first-level table is read in pieces of as many entries. */
const L1_PIECE = 8192

/** Incompatible features: without knowing one, the image cannot be read. All those that are defined are refused. */
const features: readonly (readonly [bit: number, name: string, hint: string])[] = [
  [
    0,
    'it was not closed cleanly',
    'end its virtual machine, or repair it with "qemu-img check -r all"',
  ],
  [1, 'it is marked corrupt', 'repair it with "qemu-img check -r all"'],
  [2, 'its data lie in another file', 'convert it with "qemu-img convert -O qcow2"'],
  [3, 'its clusters are not compressed with zlib', 'convert it with "qemu-img convert -O qcow2"'],
  [4, 'it has subclusters', 'convert it with "qemu-img convert -O qcow2"'],
]

/** A stretch of the disk. They come in order and without gaps. */
export type Extent =
  | { readonly kind: 'zero'; readonly bytes: number }
  /** As it is in the file. */
  | { readonly kind: 'data'; readonly offset: number; readonly bytes: number }
  /** Raw deflate of one cluster, of which the disk has the first `bytes`; the rest of `storedBytes` is none of it. */
  | {
      readonly kind: 'compressed'
      readonly offset: number
      readonly storedBytes: number
      readonly bytes: number
    }

export interface Qcow2Image {
  /** Length of the disk. */
  readonly diskBytes: number
  readonly clusterBytes: number
  extents(): Generator<Extent>
}

/** Whether a file that begins with `head` says that it is a qcow2 image. */
export function isQcow2(head: Uint8Array): boolean {
  return head.length >= 4 && Buffer.from(head.subarray(0, 4)).readUInt32BE(0) === MAGIC
}

/** Whether an open file is a qcow2 image; its offset is left alone. */
export function isQcow2File(fd: number): boolean {
  const head = Buffer.alloc(4)
  return readSync(fd, head, 0, head.length, 0) === head.length && isQcow2(head)
}

/**
 * Reads the header of an open qcow2 image.
 *
 * @param fd a regular file, open for reading
 * @throws NspawnError `BAD_QCOW2`, `UNSUPPORTED_QCOW2`; `extents()` throws them too
 */
export function openQcow2(fd: number): Qcow2Image {
  const file = new CheckedFile(fd)
  const header = readHeader(file)
  return {
    diskBytes: header.diskBytes,
    clusterBytes: 2 ** header.clusterBits,
    extents: () => extents(file, header),
  }
}

interface Header {
  readonly version: 2 | 3
  readonly clusterBits: number
  readonly diskBytes: number
  readonly l1Offset: number
  /** As many as the disk needs; the table may have more. */
  readonly l1Entries: number
}

function readHeader(file: CheckedFile): Header {
  const start = file.read(0, HEADER_2_BYTES, 'header')
  const version = start.readUInt32BE(4)
  if (start.readUInt32BE(0) !== MAGIC) throw bad('it does not begin as one')
  if (version !== 2 && version !== 3)
    throw unsupported(`it is of version ${version}`, 'versions 2 and 3 can be read')
  if (version === 3) refuseFeatures(file.read(0, HEADER_3_BYTES, 'header'))
  if (uint64(start, 8) !== 0 || start.readUInt32BE(16) !== 0) {
    throw unsupported(
      'it holds only the differences to another image',
      'make it whole with "qemu-img convert -O qcow2"',
    )
  }
  if (start.readUInt32BE(32) !== 0)
    throw unsupported('it is encrypted', 'decrypt it with "qemu-img convert"')
  const clusterBits = start.readUInt32BE(20)
  if (clusterBits < 9 || clusterBits > 21) throw bad(`its clusters have 2^${clusterBits} bytes`)
  const diskBytes = uint64(start, 24)
  if (diskBytes === 0) throw bad('its disk is empty')
  if (diskBytes > Number.MAX_SAFE_INTEGER) throw bad(`its disk has ${diskBytes} bytes`)
  const l1Entries = Math.ceil(diskBytes / bytesOfTable(clusterBits))
  const l1Size = start.readUInt32BE(36)
  if (l1Size > L1_ENTRIES_MAX || l1Size < l1Entries)
    throw bad(`its first-level table has ${l1Size} entries`)
  const l1Offset = uint64(start, 40)
  if (l1Offset % 2 ** clusterBits !== 0) throw bad('its first-level table begins within a cluster')
  file.check(l1Offset, l1Size * 8, 'first-level table')
  return { version, clusterBits, diskBytes, l1Offset, l1Entries }
}

function refuseFeatures(header: Buffer): void {
  for (const [bit, why, hint] of features)
    if ((header.readUInt32BE(76) & (1 << bit)) !== 0) throw unsupported(why, hint)
  if (header.readUInt32BE(72) !== 0 || header.readUInt32BE(76) !== 0)
    throw unsupported('it has features that nobody knew yet', 'convert it with "qemu-img convert"')
  if (header.readUInt32BE(100) < HEADER_3_BYTES) throw bad('its header is too short')
}

/** How much of the disk one second-level table tells of: it fills a cluster with entries of 8 bytes. */
function bytesOfTable(clusterBits: number): number {
  return 2 ** (2 * clusterBits - 3)
}

function* extents(file: CheckedFile, header: Header): Generator<Extent> {
  const tableBytes = bytesOfTable(header.clusterBits)
  const clusterBytes = 2 ** header.clusterBits
  let left = header.diskBytes
  for (let index = 0; index < header.l1Entries; index += L1_PIECE) {
    const count = Math.min(L1_PIECE, header.l1Entries - index)
    const entries = file.read(header.l1Offset + index * 8, count * 8, 'first-level table')
    for (let at = 0; at < entries.length; at += 8) {
      const bytes = Math.min(tableBytes, left)
      left -= bytes
      const offset = offsetIn(entries, at)
      if (offset === 0) {
        yield { kind: 'zero', bytes }
        continue
      }
      if (offset % clusterBytes !== 0) throw bad('a second-level table begins within a cluster')
      const table = file.read(offset, clusterBytes, 'second-level table')
      yield* extentsOfTable(table, bytes, file, header)
    }
  }
}

/** Neighbours on the disk that are neighbours in the file, too, come as one. */
function* extentsOfTable(
  table: Buffer,
  diskBytes: number,
  file: CheckedFile,
  header: Header,
): Generator<Extent> {
  const clusterBytes = 2 ** header.clusterBits
  let run: Extent | undefined
  for (let at = 0, left = diskBytes; left > 0; at += 8, left -= clusterBytes) {
    const next = readEntry(table, at, Math.min(clusterBytes, left), file, header)
    const joined = run === undefined ? undefined : join(run, next)
    if (joined === undefined && run !== undefined) yield run
    run = joined ?? next
  }
  if (run !== undefined) yield run
}

function join(a: Extent, b: Extent): Extent | undefined {
  if (a.kind === 'zero' && b.kind === 'zero') return { kind: 'zero', bytes: a.bytes + b.bytes }
  if (a.kind === 'data' && b.kind === 'data' && a.offset + a.bytes === b.offset)
    return { kind: 'data', offset: a.offset, bytes: a.bytes + b.bytes }
  return undefined
}

function readEntry(
  table: Buffer,
  at: number,
  bytes: number,
  file: CheckedFile,
  header: Header,
): Extent {
  if ((table.readUInt32BE(at) & 0x40000000) !== 0)
    return readCompressed(table.readBigUInt64BE(at), bytes, file, header)
  const offset = offsetIn(table, at)
  if ((table.readUInt32BE(at + 4) & 1) !== 0) {
    if (header.version === 2) throw bad('it has zero clusters, which version 2 does not')
    return { kind: 'zero', bytes }
  }
  if (offset === 0) return { kind: 'zero', bytes }
  if (offset % 2 ** header.clusterBits !== 0) throw bad('a cluster is not where clusters begin')
  file.check(offset, bytes, 'cluster')
  return { kind: 'data', offset, bytes }
}

/** The offset is given in bytes, the length in sectors beyond the first: the last one may end behind the file. */
function readCompressed(entry: bigint, bytes: number, file: CheckedFile, header: Header): Extent {
  const shift = BigInt(62 - (header.clusterBits - 8))
  const offset = Number(entry & ((1n << shift) - 1n))
  const sectors = Number((entry & ((1n << 62n) - 1n)) >> shift) + 1
  file.check(offset, 1, 'compressed cluster')
  const storedBytes = Math.min(sectors * SECTOR - (offset % SECTOR), file.bytes - offset)
  return { kind: 'compressed', offset, storedBytes, bytes }
}

/** Bits 9 to 55 of an entry; the others are flags, or reserved. */
function offsetIn(table: Buffer, at: number): number {
  const low = table.readUInt32BE(at + 4)
  return (table.readUInt32BE(at) & 0x00ffffff) * 2 ** 32 + low - (low % 512)
}

function uint64(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4)
}

/** A file whose end is known, and read beyond by nobody. */
class CheckedFile {
  readonly bytes: number
  private readonly fd: number

  constructor(fd: number) {
    this.fd = fd
    this.bytes = fstatSync(fd).size
  }

  /** @throws NspawnError `BAD_QCOW2` when `length` bytes at `offset` are not all in the file */
  check(offset: number, length: number, what: string): void {
    if (offset + length > this.bytes) throw bad(`a ${what} lies behind its end`)
  }

  read(offset: number, length: number, what: string): Buffer {
    this.check(offset, length, what)
    return readFully(this.fd, Buffer.allocUnsafe(length), offset)
  }
}

/** Fills `buffer` with what is at `offset`, and returns it. @throws NspawnError `BAD_QCOW2` when there is less */
export function readFully(fd: number, buffer: Buffer, offset: number): Buffer {
  for (let got = 0; got < buffer.length;) {
    const count = readSync(fd, buffer, got, buffer.length - got, offset + got)
    if (count === 0) throw bad('it became shorter while it was being read')
    got += count
  }
  return buffer
}

export function bad(why: string): NspawnError {
  return new NspawnError(`the qcow2 image is damaged: ${why}`, {
    code: 'BAD_QCOW2',
    operation: 'read qcow2',
  })
}

function unsupported(why: string, hint: string): NspawnError {
  return new NspawnError(`the qcow2 image cannot be read: ${why}`, {
    code: 'UNSUPPORTED_QCOW2',
    operation: 'read qcow2',
    hint,
  })
}
