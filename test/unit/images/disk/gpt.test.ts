import { describe, expect, test } from 'vitest'
import { crc32 } from '../../../../src/crc32.ts'
import {
  layOut,
  readGpt,
  writeGpt,
  type NewPartition,
  type ReadAt,
} from '../../../../src/images/disk/gpt.ts'
import { dashed, derivedGuids, guidBytes, readGuid } from '../../../../src/images/disk/guid.ts'
import {
  GROW_FILE_SYSTEM,
  partitionType,
  READ_ONLY,
} from '../../../../src/images/disk/partition-types.ts'
import { seededRandom } from '../../../fixtures/random.ts'

const guids = derivedGuids('gpt test')
const wanted: readonly NewPartition[] = [
  {
    type: partitionType('root', 'x86-64'),
    id: guids('root'),
    flags: GROW_FILE_SYSTEM,
    name: 'root-x86-64',
    sizeBytes: 5_000_000,
  },
  {
    type: partitionType('root-verity', 'x86-64'),
    id: guids('verity'),
    flags: READ_ONLY,
    name: 'Prüfsummen der Wurzel, mit einem Namen, der zu lang ist',
    sizeBytes: 1 << 20,
  },
]

function image(): { bytes: Buffer; layout: ReturnType<typeof layOut> } {
  const layout = layOut(guids('disk'), wanted)
  const bytes = Buffer.alloc(layout.sizeBytes)
  for (const piece of writeGpt(layout.table, layout.sizeBytes))
    piece.bytes.copy(bytes, piece.offset)
  return { bytes, layout }
}

const reader =
  (bytes: Buffer): ReadAt =>
  (offset, length) =>
    bytes.subarray(offset, offset + length)

const tableOf = (bytes: Buffer) => readGpt(reader(bytes), bytes.length)

/** Changes the header at `sector` and makes its checksum true again. */
function withHeader(bytes: Buffer, sector: number, change: (header: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes)
  const header = copy.subarray(sector * 512, sector * 512 + 92)
  change(header)
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header), 16)
  return copy
}

describe('partition tables', () => {
  test('what is written is read again', () => {
    const { bytes, layout } = image()
    const [first, second] = layout.table.partitions
    const name = 'Prüfsummen der Wurzel, mit einem Namen, der zu lang ist'.slice(0, 36)
    expect(tableOf(bytes)).toEqual({ ...layout.table, partitions: [first, { ...second, name }] })
  })

  test('partitions begin at multiples of 1 MiB and do not overlap', () => {
    const { table, sizeBytes } = layOut(guids('disk'), wanted)
    expect(table.partitions.map(({ firstSector }) => firstSector)).toEqual([2048, 2048 + 10240])
    expect(sizeBytes).toBe((1 + 5 + 1 + 1) << 20)
  })

  test('a damaged table at the start is replaced by the one at the end', () => {
    const { bytes, layout } = image()
    for (const offset of [512, 512 + 40, 512 + 90, 1024, 1024 + 128 + 60]) {
      const damaged = Buffer.from(bytes)
      damaged[offset] = (damaged[offset] as number) ^ 0x55
      expect(tableOf(damaged)?.id, `byte ${offset}`).toBe(layout.table.id)
    }
  })

  test('a table that is damaged at both ends is none', () => {
    const { bytes } = image()
    bytes[512 + 60] = 1
    bytes[bytes.length - 512 + 60] = 1
    expect(tableOf(bytes)).toBeUndefined()
  })

  test('the second table is found in a file that has grown, where the first one says it is', () => {
    const { bytes, layout } = image()
    bytes[1024] = 7
    const grown = Buffer.concat([bytes, Buffer.alloc(1 << 20)])
    expect(tableOf(grown)?.id).toBe(layout.table.id)
  })

  test('a header in the wrong place is not believed', () => {
    const { bytes } = image()
    const moved = Buffer.alloc(bytes.length)
    bytes.copy(moved, 0, 0, 34 * 512)
    expect(
      tableOf(withHeader(moved, 1, (header) => header.writeBigUInt64LE(2n, 24))),
    ).toBeUndefined()
  })

  test('entries outside of what is usable are passed over', () => {
    const { bytes } = image()
    const entries = bytes.subarray(1024, 1024 + 128 * 128)
    entries.writeBigUInt64LE(0xffff_ffff_ffff_fff0n, 40)
    const changed = withHeader(bytes, 1, (header) => header.writeUInt32LE(crc32(entries), 88))
    expect(tableOf(changed)?.partitions.map(({ number }) => number)).toEqual([2])
  })

  test('tables for sectors of 4096 bytes are read', () => {
    const { table } = image().layout
    const bytes = Buffer.alloc(4096 * 1024)
    const [{ bytes: start }] = writeGpt(table, 1024 * 512)
    start.copy(bytes, 4096, 512, 1024)
    start.copy(bytes, 8192, 1024)
    const header = bytes.subarray(4096, 4096 + 92)
    header.writeBigUInt64LE(6n, 40)
    header.writeBigUInt64LE(1000n, 48)
    header.writeUInt32LE(0, 16)
    header.writeUInt32LE(crc32(header), 16)
    expect(tableOf(bytes)).toMatchObject({ sectorBytes: 4096, id: table.id, partitions: [] })
  })

  test('hostile headers with true checksums are refused or bounded', () => {
    const { bytes } = image()
    bytes.fill(0, bytes.length - 512)
    const hostile: readonly ((header: Buffer) => void)[] = [
      (header) => header.writeUInt32LE(0xffffffff, 80),
      (header) => header.writeUInt32LE(0xfffffff8, 84),
      (header) => header.writeUInt32LE(0, 84),
      (header) => header.writeUInt32LE(129, 84),
      (header) => header.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 72),
      (header) => header.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, 48),
      (header) => header.writeUInt32LE(91, 12),
      (header) => header.writeUInt32LE(513, 12),
    ]
    for (const [i, change] of hostile.entries())
      expect(tableOf(withHeader(bytes, 1, change)), `change ${i}`).toBeUndefined()
  })

  test('no bytes make the reader throw, read much, or return what is out of bounds', () => {
    const { bytes } = image()
    const random = seededRandom(4)
    let most = 0
    const total = bytes.length
    for (let round = 0; round < 400; round++) {
      const copy = Buffer.from(bytes.subarray(0, 34 * 512))
      const fields = [12, 24, 32, 40, 48, 72, 80, 84]
      const changed = withHeader(copy, 1, (header) => {
        for (let i = 0; i < 2; i++) {
          const at = random(10) < 7 ? fields[random(fields.length)]! : random(88)
          header[at + random(4)] = random(256)
        }
      })
      if (random(2) === 0) {
        const entries = changed.subarray(1024, 1024 + 128 * 128)
        for (let i = 0; i < 4; i++) entries[random(256)] = random(256)
        const sum = crc32(entries)
        withHeader(changed, 1, (header) => header.writeUInt32LE(sum, 88)).copy(changed)
      }
      const table = readGpt((offset, length) => {
        most = Math.max(most, length)
        return offset < 34 * 512 ? changed.subarray(offset, offset + length) : Buffer.alloc(0)
      }, total)
      for (const { firstSector, lastSector } of table?.partitions ?? []) {
        expect(firstSector).toBeLessThanOrEqual(lastSector)
        expect((lastSector + 1) * table!.sectorBytes).toBeLessThanOrEqual(total)
      }
    }
    expect(most).toBeLessThanOrEqual(1 << 20)
  })
})

describe('identities', () => {
  test('the first three groups lie in a table with their bytes reversed', () => {
    const guid = '00112233-4455-6677-8899-aabbccddeeff'
    expect(guidBytes(guid).toString('hex')).toBe('33221100554477668899aabbccddeeff')
    expect(readGuid(guidBytes(guid))).toBe(guid)
    expect(dashed('00112233445566778899aabbccddeeff')).toBe(guid)
  })

  test('what is derived depends on seed and purpose alone, and says that it is a hash', () => {
    expect(derivedGuids('a')('disk')).toBe(derivedGuids('a')('disk'))
    const all = [derivedGuids('a')('disk'), derivedGuids('a')('root'), derivedGuids('b')('disk')]
    expect(new Set(all).size).toBe(3)
    for (const guid of all)
      expect(guid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
