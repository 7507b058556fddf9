/**
 * Partition tables (GPT), written and read. Pure: the caller has the file. What is read may be hostile, and
 * nothing in it is trusted before its checksum and its bounds were looked at.
 *
 * @see UEFI specification, chapter 5
 */
import { crc32 } from '../../crc32.ts'
import { guidBytes, NO_GUID, readGuid, type Guid } from './guid.ts'

export interface Partition {
  /** Its place in the table, from 1. */
  readonly number: number
  readonly type: Guid
  readonly id: Guid
  readonly firstSector: number
  /** The last one that belongs to it. */
  readonly lastSector: number
  /** The attributes' bits, as `READ_ONLY`. */
  readonly flags: bigint
  readonly name: string
}

export interface PartitionTable {
  readonly id: Guid
  readonly sectorBytes: number
  readonly firstUsableSector: number
  readonly lastUsableSector: number
  /** In the order of their numbers. */
  readonly partitions: readonly Partition[]
}

/** What a new partition is to be. */
export interface NewPartition extends Pick<Partition, 'type' | 'id' | 'flags' | 'name'> {
  readonly sizeBytes: number
}

/** Bytes and where in the file they belong. */
export interface Piece {
  readonly offset: number
  readonly bytes: Buffer
}

const SECTOR = 512
const ENTRIES = 128
const ENTRY_BYTES = 128
const HEADER_BYTES = 92
const NAME_UNITS = 36
const SIGNATURE = 'EFI PART'
const REVISION = 0x00010000
const ARRAY_SECTORS = (ENTRIES * ENTRY_BYTES) / SECTOR
/** Where partitions begin, so that no block of any medium is shared by two of them. */
const ALIGNMENT = 1 << 20

/** Where partitions lie in the file. */
export interface Layout {
  readonly table: PartitionTable
  /** Length of the whole file. */
  readonly sizeBytes: number
}

/** How much of a file is not for partitions: the tables at both ends. */
export const TABLES_BYTES = 2 * ALIGNMENT

/**
 * Places partitions one after the other, each at a multiple of 1 MiB, in a file with sectors of 512 bytes. Its length is a
 * multiple of 1 MiB, too.
 */
export function layOut(id: Guid, wanted: readonly NewPartition[]): Layout {
  let at = ALIGNMENT
  const partitions = wanted.map(({ sizeBytes, ...rest }, i) => {
    const firstSector = at / SECTOR
    const lastSector = firstSector + Math.ceil(sizeBytes / SECTOR) - 1
    at += Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT
    return { ...rest, number: i + 1, firstSector, lastSector }
  })
  const sizeBytes = at + ALIGNMENT
  return {
    sizeBytes,
    table: {
      id,
      sectorBytes: SECTOR,
      firstUsableSector: ALIGNMENT / SECTOR,
      lastUsableSector: sizeBytes / SECTOR - ARRAY_SECTORS - 2,
      partitions,
    },
  }
}

/**
 * The bytes of a table: at the start the protective MBR, header and entries; at the end entries and header again.
 *
 * @param sizeBytes of the whole file
 */
export function writeGpt(table: PartitionTable, sizeBytes: number): readonly [Piece, Piece] {
  const sectors = sizeBytes / SECTOR
  const array = writeEntries(table.partitions)
  const header = (own: number, other: number, entries: number) =>
    writeHeader(table, array, { own, other, entries })
  const backup = sectors - 1
  const backupArray = backup - ARRAY_SECTORS
  return [
    { offset: 0, bytes: Buffer.concat([protectiveMbr(sectors), header(1, backup, 2), array]) },
    {
      offset: backupArray * SECTOR,
      bytes: Buffer.concat([array, header(backup, 1, backupArray)]),
    },
  ]
}

function protectiveMbr(sectors: number): Buffer {
  const mbr = Buffer.alloc(SECTOR)
  const record = mbr.subarray(446)
  // From the second sector to the end, in cylinders and heads, too; those of an end that has none.
  record.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff])
  record.writeUInt32LE(1, 8)
  record.writeUInt32LE(Math.min(sectors - 1, 0xffffffff), 12)
  mbr.set([0x55, 0xaa], 510)
  return mbr
}

interface Places {
  readonly own: number
  readonly other: number
  readonly entries: number
}

function writeHeader(table: PartitionTable, array: Buffer, places: Places): Buffer {
  const header = Buffer.alloc(SECTOR)
  header.write(SIGNATURE, 0, 'latin1')
  header.writeUInt32LE(REVISION, 8)
  header.writeUInt32LE(HEADER_BYTES, 12)
  header.writeBigUInt64LE(BigInt(places.own), 24)
  header.writeBigUInt64LE(BigInt(places.other), 32)
  header.writeBigUInt64LE(BigInt(table.firstUsableSector), 40)
  header.writeBigUInt64LE(BigInt(table.lastUsableSector), 48)
  guidBytes(table.id).copy(header, 56)
  header.writeBigUInt64LE(BigInt(places.entries), 72)
  header.writeUInt32LE(ENTRIES, 80)
  header.writeUInt32LE(ENTRY_BYTES, 84)
  header.writeUInt32LE(crc32(array), 88)
  header.writeUInt32LE(crc32(header.subarray(0, HEADER_BYTES)), 16)
  return header
}

function writeEntries(partitions: readonly Partition[]): Buffer {
  const array = Buffer.alloc(ENTRIES * ENTRY_BYTES)
  for (const { number, type, id, firstSector, lastSector, flags, name } of partitions) {
    const entry = array.subarray((number - 1) * ENTRY_BYTES, number * ENTRY_BYTES)
    guidBytes(type).copy(entry, 0)
    guidBytes(id).copy(entry, 16)
    entry.writeBigUInt64LE(BigInt(firstSector), 32)
    entry.writeBigUInt64LE(BigInt(lastSector), 40)
    entry.writeBigUInt64LE(flags, 48)
    entry.write(name.slice(0, NAME_UNITS), 56, 'utf16le')
  }
  return array
}

/**
 * Reads from a disk or its image.
 *
 * @returns fewer bytes where it ends
 */
export type ReadAt = (offset: number, length: number) => Uint8Array

/** Sectors of other sizes than 512 bytes are seen in images of other media. */
const sectorSizes = [512, 1024, 2048, 4096]

/** More entries than anybody needs; an array is read into memory. */
const ARRAY_MAX = 1 << 20

/**
 * The partition table of a disk: the first one if it is whole, else the one at the end, else the one that a damaged first one
 * points to. Entries that lie outside what the table itself calls usable are passed over, as libblkid does.
 *
 * @param sizeBytes of the whole disk
 * @returns undefined where there is no table that is whole
 */
export function readGpt(read: ReadAt, sizeBytes: number): PartitionTable | undefined {
  for (const sectorBytes of sectorSizes) {
    const disk = { read, sectorBytes, sectors: Math.floor(sizeBytes / sectorBytes) }
    const primary = headerAt(disk, 1)
    // Where in a damaged header the other one is may be damaged as well; then there is nothing there.
    const others = [disk.sectors - 1, ...(primary === undefined ? [] : [numberAt(primary, 32)])]
    const table = primary === undefined ? undefined : readTable(disk, primary, 1)
    if (table !== undefined) return table
    for (const sector of others) {
      const header = sector > 1 ? headerAt(disk, sector) : undefined
      const backup = header === undefined ? undefined : readTable(disk, header, sector)
      if (backup !== undefined) return backup
    }
  }
  return undefined
}

/** What makes a table that is whole unfit for use: partitions that share sectors. */
export function tableTrouble({ partitions }: PartitionTable): string | undefined {
  const sorted = partitions.toSorted((a, b) => a.firstSector - b.firstSector)
  for (const [i, { number, firstSector }] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before !== undefined && before.lastSector >= firstSector)
      return `partitions ${before.number} and ${number} overlap`
  }
  return undefined
}

interface Disk {
  readonly read: ReadAt
  readonly sectorBytes: number
  readonly sectors: number
}

/** The sector, if it looks like a header. */
function headerAt({ read, sectorBytes, sectors }: Disk, sector: number): Buffer | undefined {
  if (sector >= sectors) return undefined
  const bytes = Buffer.from(read(sector * sectorBytes, sectorBytes))
  const fits = bytes.length === sectorBytes && bytes.toString('latin1', 0, 8) === SIGNATURE
  return fits ? bytes : undefined
}

function readTable(disk: Disk, header: Buffer, own: number): PartitionTable | undefined {
  const { read, sectorBytes, sectors } = disk
  const length = header.readUInt32LE(12)
  if (length < HEADER_BYTES || length > sectorBytes) return undefined
  const sum = header.readUInt32LE(16)
  const bare = Buffer.from(header.subarray(0, length))
  bare.writeUInt32LE(0, 16)
  if (crc32(bare) !== sum || numberAt(header, 24) !== own) return undefined
  const firstUsableSector = numberAt(header, 40)
  const lastUsableSector = numberAt(header, 48)
  if (lastUsableSector >= sectors || firstUsableSector > lastUsableSector + 1) return undefined
  const entries = header.readUInt32LE(80)
  const entryBytes = header.readUInt32LE(84)
  const arrayBytes = entries * entryBytes
  if (entryBytes < ENTRY_BYTES || entryBytes % 8 !== 0 || arrayBytes > ARRAY_MAX) return undefined
  const start = numberAt(header, 72)
  if (start >= sectors) return undefined
  const array = Buffer.from(read(start * sectorBytes, arrayBytes))
  if (array.length !== arrayBytes || crc32(array) !== header.readUInt32LE(88)) return undefined
  const partitions: Partition[] = []
  for (let i = 0; i < entries; i++) {
    const partition = readEntry(array.subarray(i * entryBytes, (i + 1) * entryBytes), i + 1)
    if (partition === undefined) continue
    const { firstSector, lastSector } = partition
    if (firstSector < firstUsableSector || lastSector > lastUsableSector) continue
    if (firstSector <= lastSector) partitions.push(partition)
  }
  const id = readGuid(header.subarray(56, 72))
  return { id, sectorBytes, firstUsableSector, lastUsableSector, partitions }
}

function readEntry(entry: Buffer, number: number): Partition | undefined {
  const type = readGuid(entry.subarray(0, 16))
  if (type === NO_GUID) return undefined
  const name = entry.toString('utf16le', 56, 56 + 2 * NAME_UNITS)
  const end = name.indexOf('\0')
  return {
    number,
    type,
    id: readGuid(entry.subarray(16, 32)),
    firstSector: numberAt(entry, 32),
    lastSector: numberAt(entry, 40),
    flags: entry.readBigUInt64LE(48),
    name: end < 0 ? name : name.slice(0, end),
  }
}

/** Numbers of sectors beyond what a double counts are beyond every disk, and stay so. */
function numberAt(bytes: Buffer, offset: number): number {
  return Number(bytes.readBigUInt64LE(offset))
}
