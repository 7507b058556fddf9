/** Whether a tree that has come from elsewhere is a system, and lifting it where it lies one directory too deep. */
import { closeSync, constants, fchmodSync, fchownSync, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { randomSuffix } from '../images/random-suffix.ts'
import {
  nameOf,
  nameOfEntry,
  openDirectoryAt,
  readEntries,
  setTimesOf,
  tryRenameAt,
  tryUnlinkAt,
  withDirectory,
} from '../sys/at.ts'
import { O_PATH } from '../sys/fd.ts'
import { pathAt } from '../sys/at-error.ts'
import { tryOpenBelow } from '../sys/openat2.ts'
import { statAt } from '../sys/statx.ts'
import { getXattr, listXattrs, removeXattr, setXattr } from '../sys/xattr.ts'

const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const releaseFiles = ['etc/os-release', 'usr/lib/os-release'].map(nameOf)

/** Whether the tree in an open directory says which system it is. Its symlinks are followed within it. */
function isOsTreeAt(directory: number): boolean {
  for (const path of releaseFiles) {
    const fd = tryOpenBelow(directory, path, 'in root', O_PATH)
    if (typeof fd === 'string') continue
    closeSync(fd)
    return true
  }
  return false
}

/** Whether the directory `tree` has an os-release file where a system has it. */
export function isOsTree(tree: string): boolean {
  return withDirectory(openSync(tree, asDirectory), isOsTreeAt)
}

/**
 * Moves a system up that is the only thing in `tree`, as in an archive that was packed from the directory above: its
 * entries become those of `tree`, which takes over owner, mode, times and attributes.
 *
 * @returns whether `tree` is a system now; one that is none, and holds none, is left as it is
 * @throws NspawnError when an entry cannot be moved
 */
export function liftOsTree(tree: string, log: LogSink = silent): boolean {
  return withDirectory(openSync(tree, asDirectory), (top) => {
    if (isOsTreeAt(top)) return true
    const entries = readEntries(top)
    const [only] = entries
    if (only === undefined || entries.length > 1 || !only.isDirectory()) return false
    const inner = openDirectoryAt(top, nameOfEntry(only))
    try {
      if (!isOsTreeAt(inner)) return false
      const shown = Buffer.from(only.name, 'latin1').toString()
      log({ kind: 'notice', text: `moving the system in ${shown} one directory up` })
      // It may hold an entry of its own name.
      const aside = nameOf(`.#lift${randomSuffix()}`)
      refuse(tryRenameAt(top, nameOfEntry(only), top, aside), tree)
      const facts = statAt(inner)
      for (const entry of readEntries(inner)) {
        const name = nameOfEntry(entry)
        refuse(tryRenameAt(inner, name, top, name), pathAt(inner, name))
      }
      takeOver(inner, top, facts)
      refuse(tryUnlinkAt(top, aside, 'directory'), tree)
      setTimesOf(top, facts.accessed, facts.modified)
    } finally {
      closeSync(inner)
    }
    return true
  })
}

function takeOver(from: number, to: number, facts: ReturnType<typeof statAt>): void {
  fchownSync(to, facts.uid, facts.gid)
  for (const name of listXattrs(to)) removeXattr(to, name)
  fchmodSync(to, facts.mode & 0o7777)
  for (const name of listXattrs(from)) {
    const value = getXattr(from, name)
    if (value !== undefined) setXattr(to, name, value)
  }
}

function refuse(code: string | undefined, subject: string): void {
  if (code === undefined) return
  throw new NspawnError('cannot move the system one directory up', {
    code,
    operation: 'rename',
    subject,
  })
}
