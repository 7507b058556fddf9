/**
 * What a partition holds, told by the marks that each form has in its first bytes. Pure: the caller reads.
 *
 * @see blkid(8), whose names of forms these are
 */
import type { ReadAt } from './gpt.ts'

/** File systems that images may have their trees in. */
export const mountableFileSystems = [
  'btrfs',
  'erofs',
  'ext4',
  'f2fs',
  'squashfs',
  'vfat',
  'xfs',
] as const
export type MountableFileSystem = (typeof mountableFileSystems)[number]

export type Content = MountableFileSystem | 'crypto_LUKS' | 'DM_verity_hash' | 'swap'

interface Mark {
  readonly content: Content
  /** In bytes. */
  readonly offset: number
  readonly bytes: Buffer
}

const ascii = (text: string) => Buffer.from(text, 'latin1')

/** What encloses another form comes first. */
const marks: readonly Mark[] = [
  { content: 'crypto_LUKS', offset: 0, bytes: ascii('LUKS\xba\xbe') },
  { content: 'DM_verity_hash', offset: 0, bytes: ascii('verity\0\0') },
  { content: 'swap', offset: 4086, bytes: ascii('SWAPSPACE2') },
  { content: 'squashfs', offset: 0, bytes: ascii('hsqs') },
  { content: 'xfs', offset: 0, bytes: ascii('XFSB') },
  { content: 'btrfs', offset: 65536 + 64, bytes: ascii('_BHRfS_M') },
  { content: 'erofs', offset: 1024, bytes: ascii('\xe2\xe1\xf5\xe0') },
  { content: 'f2fs', offset: 1024, bytes: ascii('\x10\x20\xf5\xf2') },
  // ext2 and ext3 have the same mark, and the same driver.
  { content: 'ext4', offset: 1080, bytes: ascii('\x53\xef') },
]

/** @returns undefined for what has none of the forms that we know */
export function contentOf(read: ReadAt): Content | undefined {
  for (const { content, offset, bytes } of marks) {
    if (bytes.equals(read(offset, bytes.length))) return content
  }
  return isFat(Buffer.from(read(0, 512))) ? 'vfat' : undefined
}

/** Its first sector looks like a partition table's, and says more. */
function isFat(sector: Buffer): boolean {
  if (sector.length < 512 || sector.readUInt16LE(510) !== 0xaa55) return false
  const named = ['FAT32   ', 'FAT12   ', 'FAT16   ', 'FAT     ']
  const words = [sector.toString('latin1', 82, 90), sector.toString('latin1', 54, 62)]
  const sectorBytes = sector.readUInt16LE(11)
  const copies = sector[16] ?? 0
  return (
    words.some((word) => named.includes(word)) &&
    [512, 1024, 2048, 4096].includes(sectorBytes) &&
    (copies === 1 || copies === 2)
  )
}

export function isMountable(content: Content | undefined): content is MountableFileSystem {
  return mountableFileSystems.some((one) => one === content)
}
