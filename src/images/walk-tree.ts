/** All inodes of a tree in a fixed order, each with the directory that it was found in open. */
import { closeSync, constants, openSync } from 'node:fs'
import { openDirectoryAt, readEntries, type Name } from '../sys/at.ts'
import { S_IFDIR, S_IFMT, sameMount, statAt, type InodeFacts } from '../sys/statx.ts'

export interface Found {
  /** From the top: `./etc/passwd`; `.` is the top itself. One character for each byte. */
  readonly path: string
  /** The open directory it lies in, valid until the walk goes on; for the top, the top. */
  readonly directory: number
  /** Its name there. */
  readonly name: Name
  readonly facts: InodeFacts
}

interface Level {
  readonly fd: number
  readonly path: string
  /** Last first. */
  readonly names: string[]
}

/**
 * Walks the tree at `tree`: a directory before what is in it, names in the order of their bytes. Symlinks are not
 * followed; where something else is mounted, only the directory itself is found.
 *
 * @throws NspawnError when something cannot be looked at
 */
export function* walkTree(tree: string): Generator<Found> {
  const topFd = openSync(tree, constants.O_RDONLY | constants.O_DIRECTORY)
  const levels: Level[] = [{ fd: topFd, path: '.', names: namesBackwards(topFd) }]
  try {
    const top = statAt(topFd)
    yield { path: '.', directory: topFd, name: Buffer.from('.\0'), facts: top }
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const next = level.names.pop()
      if (next === undefined) {
        levels.pop()
        closeSync(level.fd)
        continue
      }
      const path = `${level.path}/${next}`
      const name = Buffer.from(`${next}\0`, 'latin1')
      const facts = statAt(level.fd, name)
      yield { path, directory: level.fd, name, facts }
      if ((facts.mode & S_IFMT) !== S_IFDIR || !sameMount(top, facts)) continue
      const fd = openDirectoryAt(level.fd, name)
      levels.push({ fd, path, names: namesBackwards(fd) })
    }
  } finally {
    for (const { fd } of levels) closeSync(fd)
  }
}

/** The last comes first, to be popped last. In latin1, characters compare as the bytes do. */
function namesBackwards(directory: number): string[] {
  return readEntries(directory)
    .map((entry) => entry.name)
    .toSorted((a, b) => (a < b ? 1 : -1))
}
