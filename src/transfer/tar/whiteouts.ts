/**
 * Whiteouts of OCI layers: entries that stand for something that a lower layer has and this one has not. They take
 * away what was there before this layer, wherever in it they come.
 *
 * @see OCI image specification, "layer.md", "Whiteouts"
 */
import { closeSync } from 'node:fs'
import { removeTreeAt } from '../../images/remove-tree.ts'
import { readEntries } from '../../sys/at.ts'
import { badArchive } from './header.ts'
import { bytesOf, openBeneath, type OpenDirectories } from './open-directories.ts'
import { statAt } from '../../sys/statx.ts'

const PREFIX = '.wh.'
const META = '.wh..wh.'
const OPAQUE = '.wh..wh..opq'

export type Whiteout = { readonly hides: 'all' } | { readonly hides: 'one'; readonly name: string }

/**
 * What an entry of that name stands for.
 *
 * @returns undefined for an ordinary entry, `'none'` for the private files of aufs, which are to be left out
 * @throws NspawnError `BAD_ARCHIVE` when it would hide what is no name
 */
export function whiteoutOf(path: string): Whiteout | 'none' | undefined {
  if (!path.includes(PREFIX)) return undefined
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  const last = names.at(-1) ?? ''
  if (last === OPAQUE) return { hides: 'all' }
  if (names.some((name) => name.startsWith(META))) return 'none'
  if (!last.startsWith(PREFIX)) return undefined
  const name = last.slice(PREFIX.length)
  if (['', '.', '..'].includes(name)) throw badArchive('it hides what is no name', path)
  return { hides: 'one', name }
}

/** What one layer has made, and the removal of what it has not. */
export class Layer {
  private readonly directories: OpenDirectories
  private readonly made = new Set<string>()

  constructor(directories: OpenDirectories) {
    this.directories = directories
  }

  /** Remembers an entry of the current directory, and the way to it. */
  add(name: string): void {
    const levels = this.directories.all
    this.made.add(keyOf(this.directories.current.inode, name))
    for (let i = levels.length - 1; i > 0; i--) {
      const [parent, level] = [levels[i - 1], levels[i]]
      if (parent === undefined || level === undefined) return
      const key = keyOf(parent.inode, level.name)
      if (this.made.has(key)) return
      this.made.add(key)
    }
  }

  /** Takes away what the whiteout in the current directory hides. */
  apply(whiteout: Whiteout): void {
    const { fd, inode } = this.directories.current
    if (whiteout.hides === 'all') this.hideAll(fd, inode)
    else this.hide(fd, inode, whiteout.name)
  }

  private hideAll(directory: number, inode: bigint): void {
    for (const { name } of readEntries(directory)) this.hide(directory, inode, name)
  }

  private hide(directory: number, inode: bigint, name: string): void {
    if (!this.made.has(keyOf(inode, name))) {
      return removeTreeAt(directory, bytesOf(name))
    }
    const below = openBeneath(directory, name)
    if (typeof below === 'string') return
    try {
      this.hideAll(below, statAt(below).inode)
    } finally {
      closeSync(below)
    }
  }
}

const keyOf = (inode: bigint, name: string): string => `${inode}/${name}`
