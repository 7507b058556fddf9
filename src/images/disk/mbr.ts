/** Partition tables of the old kind (MBR): the four entries of the first sector. Pure. */

export interface MbrPartition {
  /** 1 to 4. */
  readonly number: number
  /** `0x83` is Linux, `0xee` says that there is a GPT. */
  readonly type: number
  readonly bootable: boolean
  /** In bytes. */
  readonly offset: number
  readonly sizeBytes: number
}

const SECTOR = 512

/**
 * @param sector the first 512 bytes of a disk
 * @returns undefined where there is no such table; entries that begin or end outside the disk are passed over
 */
export function readMbr(
  sector: Uint8Array,
  sizeBytes: number,
): readonly MbrPartition[] | undefined {
  const bytes = Buffer.from(sector)
  if (bytes.length < SECTOR || bytes.readUInt16LE(510) !== 0xaa55) return undefined
  const partitions: MbrPartition[] = []
  for (let i = 0; i < 4; i++) {
    const entry = bytes.subarray(446 + 16 * i, 462 + 16 * i)
    const flag = entry[0]
    // Anything else in this place is a boot loader's code, not a table.
    if (flag !== 0 && flag !== 0x80) return undefined
    const type = entry[4] ?? 0
    const offset = entry.readUInt32LE(8) * SECTOR
    const length = entry.readUInt32LE(12) * SECTOR
    if (type === 0 || length === 0) continue
    if (type !== PROTECTIVE && (offset === 0 || offset + length > sizeBytes)) continue
    partitions.push({ number: i + 1, type, bootable: flag === 0x80, offset, sizeBytes: length })
  }
  return partitions
}

/** The whole disk is a GPT's. */
export const PROTECTIVE = 0xee
export const MBR_LINUX = 0x83
export const MBR_XBOOTLDR = 0xea
