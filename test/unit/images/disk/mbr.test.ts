import { describe, expect, test } from 'vitest'
import { readMbr } from '../../../../src/images/disk/mbr.ts'
import { seededRandom } from '../../../fixtures/random.ts'

type Entry = readonly [flag: number, type: number, first: number, sectors: number]

function sector(...entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(512)
  for (const [i, [flag, type, first, sectors]] of entries.entries()) {
    const at = 446 + 16 * i
    bytes[at] = flag
    bytes[at + 4] = type
    bytes.writeUInt32LE(first, at + 8)
    bytes.writeUInt32LE(sectors, at + 12)
  }
  bytes.writeUInt16LE(0xaa55, 510)
  return bytes
}

describe('a partition table of the old kind', () => {
  test('has the entries that are used', () => {
    const bytes = sector([0, 0, 0, 0], [0x80, 0x83, 2048, 100], [0, 0xea, 4096, 10])
    expect(readMbr(bytes, 1 << 30)).toEqual([
      { number: 2, type: 0x83, bootable: true, offset: 2048 * 512, sizeBytes: 51200 },
      { number: 3, type: 0xea, bootable: false, offset: 4096 * 512, sizeBytes: 5120 },
    ])
  })

  test('has no entries that lie outside the disk', () => {
    const bytes = sector(
      [0, 0x83, 1, 3],
      [0, 0x83, 2, 3],
      [0, 0x83, 0, 1],
      [0, 0x83, 0xffffffff, 1],
    )
    expect(readMbr(bytes, 4 * 512)?.map(({ number }) => number)).toEqual([1])
  })

  test('is none without its mark, when it is cut short, or with other flags', () => {
    expect(readMbr(Buffer.alloc(512), 1 << 20)).toBeUndefined()
    expect(readMbr(sector().subarray(0, 511), 1 << 20)).toBeUndefined()
    expect(readMbr(sector([1, 0x83, 1, 1]), 1 << 20)).toBeUndefined()
  })

  test('whatever the bytes are, what it tells lies in the disk', () => {
    const random = seededRandom(7)
    for (let round = 0; round < 5000; round++) {
      const bytes = sector()
      for (let i = 446; i < 510; i++) bytes[i] = random(256)
      for (let i = 446; i < 510; i += 16) bytes[i] = random(2) * 0x80
      const size = random(1 << 30)
      for (const { offset, sizeBytes, type } of readMbr(bytes, size) ?? [])
        expect(type === 0xee || (offset > 0 && offset + sizeBytes <= size)).toBe(true)
    }
  })
})
