/** What a tree will need of a file system. Depends on what is in it alone, and not on where it lies. */
import { closeSync, readSync } from 'node:fs'
import { throwIfCanceled } from '../../errors.ts'
import { openFileAt } from '../../sys/at.ts'
import { dataExtents } from '../../sys/data-ranges.ts'
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, type InodeFacts } from '../../sys/statx.ts'
import { listXattrs } from '../../sys/xattr.ts'
import { Turns } from '../../turns.ts'
import { walkTree, type Found } from '../walk-tree.ts'

export const BLOCK = 4096

export interface TreeSurvey {
  readonly inodes: number
  /** Blocks with contents of files, of directories and of what else takes blocks; those of zeros take none. */
  readonly blocks: number
  /** Inodes with several names → how many of these are in the tree. */
  readonly links: ReadonlyMap<string, number>
  /** Names with an ACL. */
  readonly acls: readonly string[]
}

/** Tells inodes of a tree apart. */
export const inodeKey = ({ deviceMajor, deviceMinor, inode }: InodeFacts): string =>
  `${deviceMajor}:${deviceMinor}:${inode}`

/** The path of what a walk has found, for calls that take no name in a directory. */
export const pathOf = ({ directory, name }: Found): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])

/**
 * Walks the tree at `tree` once, and reads its larger files for what is nothing but zeros in them.
 *
 * @throws NspawnError `CANCELED`, or an errno name
 */
export async function surveyTree(tree: string, signal?: AbortSignal): Promise<TreeSurvey> {
  const links = new Map<string, number>()
  const acls: string[] = []
  const turns = new Turns()
  let inodes = 0
  let blocks = 0
  for (const found of walkTree(tree)) {
    if (turns.isOver) await turns.next()
    throwIfCanceled(signal, 'making the disk image')
    const { facts, name } = found
    const type = facts.mode & S_IFMT
    // Its entry, in the directory that it was found in.
    blocks += (name.length + 16) / BLOCK
    if (type !== S_IFDIR && facts.links > 1) {
      const key = inodeKey(facts)
      const before = links.get(key) ?? 0
      links.set(key, before + 1)
      if (before > 0) continue
    }
    inodes++
    const attributes = listXattrs(pathOf(found))
    if (attributes.some((attribute) => attribute.startsWith('system.posix_acl_')))
      acls.push(found.path)
    blocks += Number(attributes.length > 0) + Number(type === S_IFDIR || type === S_IFLNK)
    if (type === S_IFREG) blocks += blocksOf(found)
  }
  return { inodes, blocks: Math.ceil(blocks), links, acls }
}

/** Files of this size are not worth a look. */
const SMALL = 1 << 16
const PIECE = 1 << 20
const zeros = Buffer.alloc(BLOCK)

function blocksOf({ directory, name, facts }: Found): number {
  if (facts.sizeBytes <= SMALL) return Math.ceil(facts.sizeBytes / BLOCK)
  const fd = openFileAt(directory, name, 'read')
  try {
    const piece = Buffer.allocUnsafe(PIECE)
    let blocks = 0
    for (const { start, end } of dataExtents(fd, facts.sizeBytes)) {
      // Blocks are counted from the start of the file, wherever a file system has its holes.
      for (let at = start - (start % BLOCK); at < end; at += PIECE) {
        const got = readSync(fd, piece, 0, Math.min(PIECE, end - at), at)
        for (let i = 0; i < got; i += BLOCK) {
          const length = Math.min(BLOCK, got - i)
          if (piece[i] !== 0 || piece.compare(zeros, 0, length, i, i + length) !== 0) blocks++
        }
      }
    }
    return blocks
  } finally {
    closeSync(fd)
  }
}
