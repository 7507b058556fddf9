/**
 * Which partitions a disk image has, and what each of them holds. Pure but for the reading that the caller lends: what is
 * read may be hostile, and everything is bounded before it is believed.
 *
 * @see systemd-dissect(1); Discoverable Partitions Specification (UAPI.2)
 */
import { NspawnError } from '../../errors.ts'
import { contentOf, type Content } from './content.ts'
import { readGpt, tableTrouble, type PartitionTable, type ReadAt } from './gpt.ts'
import type { Guid } from './guid.ts'
import { MBR_LINUX, MBR_XBOOTLDR, PROTECTIVE, readMbr } from './mbr.ts'
import {
  GROW_FILE_SYSTEM,
  meaningOfType,
  NO_AUTO,
  NO_BLOCK_IO,
  READ_ONLY,
  type Designator,
} from './partition-types.ts'
import type { DiskArchitecture } from './system-types.ts'

export interface DiskPartition {
  /** In its table, from 1; 0 for an image that is one file system. */
  readonly number: number
  /** Undefined for what no system looks for. */
  readonly designator: Designator | undefined
  readonly architecture: DiskArchitecture | undefined
  /** Of a GPT. */
  readonly type: Guid | undefined
  readonly id: Guid | undefined
  readonly label: string | undefined
  /** In bytes, from the beginning of the image. */
  readonly offset: number
  readonly sizeBytes: number
  readonly readOnly: boolean
  /** Marked so that its file system shall be grown to its size. */
  readonly grow: boolean
  /** Marked so that nobody shall mount it by itself. */
  readonly noAuto: boolean
  readonly content: Content | undefined
}

export interface DiskLayout {
  readonly table: 'none' | 'gpt' | 'mbr'
  /** Of the table. */
  readonly id: Guid | undefined
  readonly sizeBytes: number
  /** In the order of the table. */
  readonly partitions: readonly DiskPartition[]
}

/**
 * Looks at a disk.
 *
 * @param bare take it for one file system, whatever a table in it says
 * @throws NspawnError `IMAGE_INVALID` for a table that contradicts itself, and where there is nothing that we know
 */
export function dissectDisk(read: ReadAt, sizeBytes: number, bare = false): DiskLayout {
  const whole = contentOf(read)
  if (bare || whole !== undefined) return bareDisk(whole, sizeBytes)
  const table = readGpt(read, sizeBytes)
  if (table !== undefined) return gptDisk(read, table, sizeBytes)
  const entries = readMbr(read(0, 512), sizeBytes)
  if (entries?.some(({ type }) => type === PROTECTIVE) === true) {
    throw invalid(
      'its partition table (GPT) is damaged, and so is the copy at the end',
      'gdisk(8) may be able to rescue it; or the file has been cut short',
    )
  }
  if (entries === undefined || entries.length === 0) {
    throw invalid(
      'there is neither a partition table nor a file system that is known',
      'a disk image has a GPT, an MBR, or is one file system: ext4, xfs, btrfs, squashfs, erofs, or LUKS',
    )
  }
  const partitions = entries.map((entry): DiskPartition => {
    const { number, offset, type, bootable } = entry
    const isRoot = type === MBR_LINUX && bootable
    return {
      ...nothing,
      ...{ number, offset, sizeBytes: entry.sizeBytes },
      designator: isRoot ? 'linux-generic' : type === MBR_XBOOTLDR ? 'xbootldr' : undefined,
      content: contentOf(within(read, offset, entry.sizeBytes)),
    }
  })
  requireApart(partitions)
  return { table: 'mbr', id: undefined, sizeBytes, partitions }
}

const nothing = {
  designator: undefined,
  architecture: undefined,
  type: undefined,
  id: undefined,
  label: undefined,
  readOnly: false,
  grow: false,
  noAuto: false,
} as const

function bareDisk(content: Content | undefined, sizeBytes: number): DiskLayout {
  const root = { ...nothing, number: 0, designator: 'root', offset: 0, sizeBytes, content } as const
  return { table: 'none', id: undefined, sizeBytes, partitions: [root] }
}

function gptDisk(read: ReadAt, table: PartitionTable, sizeBytes: number): DiskLayout {
  const trouble = tableTrouble(table)
  if (trouble !== undefined) throw invalid(trouble)
  const { sectorBytes } = table
  const partitions = table.partitions.map((entry): DiskPartition => {
    const { number, type, id, flags, name, firstSector, lastSector } = entry
    const meaning = meaningOfType(type)
    const offset = firstSector * sectorBytes
    const length = (lastSector - firstSector + 1) * sectorBytes
    const designator = meaning?.designator
    // The ESP has no such flag; there another bit says that nobody shall touch it.
    const noAuto = (flags & (designator === 'esp' ? NO_BLOCK_IO : NO_AUTO)) !== 0n
    return {
      ...{ number, designator, architecture: meaning?.architecture, type, id, offset, noAuto },
      label: name === '' ? undefined : name,
      sizeBytes: length,
      readOnly: designator !== 'esp' && (flags & READ_ONLY) !== 0n,
      grow: designator !== 'esp' && (flags & GROW_FILE_SYSTEM) !== 0n,
      content: contentOf(within(read, offset, length)),
    }
  })
  return { table: 'gpt', id: table.id, sizeBytes, partitions }
}

/** A partition sees nothing of its neighbours. */
export function within(read: ReadAt, start: number, length: number): ReadAt {
  return (offset, wanted) => read(start + offset, Math.max(0, Math.min(wanted, length - offset)))
}

function requireApart(partitions: readonly DiskPartition[]): void {
  const sorted = partitions.toSorted((a, b) => a.offset - b.offset)
  for (const [i, { number, offset }] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before !== undefined && before.offset + before.sizeBytes > offset)
      throw invalid(`partitions ${before.number} and ${number} overlap`)
  }
}

function invalid(why: string, hint?: string): NspawnError {
  return new NspawnError(`the disk image cannot be used: ${why}`, {
    code: 'IMAGE_INVALID',
    operation: 'dissect',
    hint,
  })
}
