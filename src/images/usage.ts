/** How much space a tree takes. It has to be walked, so this is asked for by name and done in slices. */
import { closeSync, constants, lstatSync, openSync, realpathSync } from 'node:fs'
import { nameOfEntry, openDirectoryAt, readEntries } from '../sys/at.ts'
import { S_IFDIR, S_IFMT, sameMount, statAt, type InodeFacts } from '../sys/statx.ts'
import { Turns } from '../turns.ts'

/**
 * The space on disk of everything in `path`, in bytes: hard links count once, other mounts not at all.
 * Blocks that are shared with other trees count in full.
 */
export async function measureUsage(path: string): Promise<number> {
  const real = realpathSync(path)
  if (!lstatSync(real).isDirectory()) return lstatSync(real).blocks * 512
  const fd = openSync(real, constants.O_RDONLY | constants.O_DIRECTORY)
  const turns = new Turns()
  let blocks = 0
  try {
    for (const found of usage(fd, statAt(fd), new Set())) {
      blocks += found
      if (turns.isOver) await turns.next()
    }
  } finally {
    closeSync(fd)
  }
  return blocks * 512
}

/** Blocks of one inode after the other. */
function* usage(directory: number, facts: InodeFacts, seen: Set<string>): Generator<number> {
  yield facts.blocks
  for (const entry of readEntries(directory)) {
    const name = nameOfEntry(entry)
    const child = statAt(directory, name)
    if (!sameMount(facts, child)) continue
    if ((child.mode & S_IFMT) === S_IFDIR) {
      const fd = openDirectoryAt(directory, name)
      try {
        yield* usage(fd, child, seen)
      } finally {
        closeSync(fd)
      }
      continue
    }
    if (child.links > 1) {
      const key = `${child.deviceMajor}:${child.deviceMinor}:${child.inode}`
      if (seen.has(key)) continue
      seen.add(key)
    }
    yield child.blocks
  }
}
