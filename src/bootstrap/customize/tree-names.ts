/** Names that only the tree knows, looked up in it before anything is done for them: slips are told with what was meant. */
import { nearest } from '../../settings/nearest.ts'
import type { TreeFiles } from '../tree-files.ts'
import type { Customization } from './customization.ts'
import { customizationFailed } from './failure.ts'

type Names = Pick<Customization, 'users' | 'sshKeys' | 'autologin' | 'keymap'>

/**
 * Whether users are new, their groups and those who log in are there, and the keymap too, where the tree has such.
 *
 * @throws NspawnError `BOOTSTRAP_FAILED`
 * @see passwd(5), group(5), vconsole.conf(5)
 */
export function checkTreeNames(files: TreeFiles, wanted: Names): void {
  const users = namesIn(files, '/etc/passwd')
  const groups = namesIn(files, '/etc/group')
  for (const { name, groups: theirs } of wanted.users) {
    if (users.has(name))
      throw customizationFailed(
        `cannot make the user ${name}: the tree has one already`,
        'leave --user out, or choose another name',
      )
    const missing = theirs.find((group) => !groups.has(group))
    if (missing !== undefined)
      throw customizationFailed(
        `cannot make the user ${name}: the tree has no group ${missing}`,
        meant(missing, groups) ?? 'name the package that brings it with --include',
      )
    users.add(name)
    // A user has a group of the same name.
    groups.add(name)
  }
  const { autologin } = wanted
  for (const user of [
    ...wanted.sshKeys.map((key) => key.user),
    ...(autologin === undefined ? [] : [autologin]),
  ]) {
    if (users.has(user)) continue
    throw customizationFailed(
      `there is no user ${user} in the tree to log in`,
      meant(user, users) ?? `make it with --user=${user}`,
    )
  }
  checkKeymap(files, wanted.keymap)
}

function namesIn(files: TreeFiles, table: string): Set<string> {
  const lines = files.read(table)?.split('\n') ?? []
  return new Set(lines.map((line) => line.split(':')[0]!).filter((name) => name !== ''))
}

/** Where packages of keymaps put them, by distribution. */
const keymapDirectories = ['/usr/share/keymaps', '/usr/share/kbd/keymaps', '/usr/lib/kbd/keymaps']

/** Trees without keymaps are for containers, or get them later. */
function checkKeymap(files: TreeFiles, keymap: string | undefined): void {
  if (keymap === undefined) return
  const there = new Set(keymapDirectories.flatMap((directory) => keymapsIn(files, directory)))
  if (there.size === 0 || there.has(keymap)) return
  throw customizationFailed(`the tree has no keymap called ${keymap}`, meant(keymap, there))
}

/** Deeper than any distribution has them. */
const deepest = 8

function keymapsIn(files: TreeFiles, directory: string, depth = 0): string[] {
  if (depth > deepest) return []
  return files.list(directory).flatMap((name) => {
    const map = /^(.+)\.k?map(\.(gz|xz|zst|bz2))?$/.exec(name)?.[1]
    if (map !== undefined) return [map]
    const path = `${directory}/${name}`
    // Not through links, which may lead round in a circle.
    return files.stat(path, 'keep')?.isDirectory() === true ? keymapsIn(files, path, depth + 1) : []
  })
}

function meant(said: string, names: Iterable<string>): string | undefined {
  const name = nearest(said, names)
  return name === undefined ? undefined : `perhaps ${name} was meant`
}
