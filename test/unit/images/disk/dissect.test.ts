import { describe, expect, test } from 'vitest'
import { dissectDisk } from '../../../../src/images/disk/dissect.ts'
import {
  layOut,
  writeGpt,
  type NewPartition,
  type ReadAt,
} from '../../../../src/images/disk/gpt.ts'
import { derivedGuids } from '../../../../src/images/disk/guid.ts'
import { NspawnError } from '../../../../src/errors.ts'
import {
  meaningOfType,
  NO_AUTO,
  NO_BLOCK_IO,
  READ_ONLY,
} from '../../../../src/images/disk/partition-types.ts'
import { diskArchitectures, systemType } from '../../../../src/images/disk/system-types.ts'
import { seededRandom } from '../../../fixtures/random.ts'

const guids = derivedGuids('dissect test')
const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const MIB = 1 << 20

function disk(...wanted: readonly Partial<NewPartition>[]): Buffer {
  const { table, sizeBytes } = layOut(
    guids('disk'),
    wanted.map((one, i) => ({
      ...{ type: systemType('root', 'x86-64'), id: guids(`${i}`), flags: 0n, name: '' },
      sizeBytes: MIB,
      ...one,
    })),
  )
  const bytes = Buffer.alloc(sizeBytes)
  for (const piece of writeGpt(table, sizeBytes)) piece.bytes.copy(bytes, piece.offset)
  return bytes
}

const look = (bytes: Buffer, bare = false) => {
  const read: ReadAt = (offset, length) => bytes.subarray(offset, offset + length)
  return dissectDisk(read, bytes.length, bare)
}

/** A super block of ext4 has no more than this that counts here. */
const withExt4 = (bytes: Buffer, at: number) => {
  bytes.writeUInt16LE(0xef53, at + 1080)
  return bytes
}

describe('what is in a disk image', () => {
  test('its partitions, by what they are for', () => {
    const bytes = disk(
      { type: ESP, flags: READ_ONLY | NO_AUTO },
      { name: 'tiny_1', flags: READ_ONLY },
      { type: systemType('usr-verity-sig', 's390x'), flags: NO_AUTO },
      { type: '11111111-2222-3333-4444-555555555555' },
    )
    expect(look(withExt4(bytes, 2 * MIB))).toMatchObject({
      table: 'gpt',
      id: guids('disk'),
      partitions: [
        // Bits of other partitions mean something else to firmware.
        { designator: 'esp', readOnly: false, noAuto: false, label: undefined, offset: MIB },
        {
          ...{ number: 2, designator: 'root', architecture: 'x86-64', label: 'tiny_1' },
          ...{ offset: 2 * MIB, sizeBytes: MIB, readOnly: true, content: 'ext4' },
        },
        { designator: 'usr-verity-sig', architecture: 's390x', noAuto: true, content: undefined },
        { designator: undefined, type: '11111111-2222-3333-4444-555555555555' },
      ],
    })
    const marked = look(disk({ type: ESP, flags: NO_BLOCK_IO }))
    expect(marked.partitions[0]).toMatchObject({ noAuto: true })
  })

  test('a file system is a root, and so is anything when that is said', () => {
    expect(look(withExt4(Buffer.alloc(MIB), 0))).toMatchObject({
      table: 'none',
      partitions: [{ number: 0, designator: 'root', sizeBytes: MIB, content: 'ext4' }],
    })
    expect(look(disk({}), true).table).toBe('none')
  })

  test('no partition sees what belongs to its neighbour', () => {
    const bytes = disk({ sizeBytes: 512 }, {})
    withExt4(bytes, MIB)
    expect(look(bytes).partitions[0]?.content).toBeUndefined()
  })

  test('a super block of FAT is no partition table', () => {
    const bytes = Buffer.alloc(MIB)
    bytes.write('FAT32   ', 82, 'latin1')
    bytes.writeUInt16LE(512, 11)
    bytes[16] = 2
    bytes.writeUInt16LE(0xaa55, 510)
    expect(look(bytes)).toMatchObject({ table: 'none', partitions: [{ content: 'vfat' }] })
  })

  test('overlapping partitions are refused', () => {
    const { table, sizeBytes } = layOut(guids('disk'), [
      { type: ESP, id: guids('a'), flags: 0n, name: '', sizeBytes: MIB },
      { type: ESP, id: guids('b'), flags: 0n, name: '', sizeBytes: MIB },
    ])
    const [one, two] = table.partitions
    const crossed = { ...table, partitions: [one!, { ...two!, firstSector: one!.lastSector }] }
    const bytes = Buffer.alloc(sizeBytes)
    for (const piece of writeGpt(crossed, sizeBytes)) piece.bytes.copy(bytes, piece.offset)
    expect(() => look(bytes)).toThrow('partitions 1 and 2 overlap')
  })

  test('nothing, a damaged table and an empty file are told apart', () => {
    expect(() => look(Buffer.alloc(MIB))).toThrow('neither a partition table nor a file system')
    expect(() => look(Buffer.alloc(0))).toThrow('neither a partition table nor a file system')
    const bytes = disk({})
    bytes.fill(0, 512, 1024)
    expect(look(bytes).table).toBe('gpt')
    bytes.fill(0, bytes.length - 512)
    expect(() => look(bytes)).toThrow('its partition table (GPT) is damaged')
  })

  test('whatever the bytes are, it is told or refused, and every partition lies in the disk', () => {
    const random = seededRandom(11)
    const whole = disk({}, { type: ESP }, { flags: 1n })
    let told = 0
    for (let round = 0; round < 400; round++) {
      const bytes = Buffer.from(whole)
      for (let i = 0; i <= random(6); i++) {
        // Where the tables are, at both ends.
        const at = random(2) === 0 ? random(17 * 1024) : bytes.length - 1 - random(17 * 1024)
        bytes[at] = random(256)
      }
      const cut = random(8) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes
      try {
        for (const { offset, sizeBytes } of look(cut).partitions) {
          told++
          expect(offset + sizeBytes).toBeLessThanOrEqual(cut.length)
        }
      } catch (error) {
        expect(error).toBeInstanceOf(NspawnError)
        expect(error).toMatchObject({ code: 'IMAGE_INVALID' })
      }
    }
    expect(told).toBeGreaterThan(100)
  })
})

test('every type of every architecture means what it was made from, and no two are the same', () => {
  const seen = new Set<string>()
  for (const architecture of diskArchitectures) {
    for (const designator of [
      'root',
      'usr',
      'root-verity',
      'usr-verity',
      'root-verity-sig',
      'usr-verity-sig',
    ] as const) {
      const type = systemType(designator, architecture)
      expect(meaningOfType(type)).toEqual({ designator, architecture })
      seen.add(type)
    }
  }
  expect(seen.size).toBe(diskArchitectures.length * 6)
})
