/** The packages of a build root, read from pacman's own database: no container is needed for it. */
import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { missing } from '../../read-if-there.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'
import type { InstalledContents, InstalledPackage } from './installer.ts'
import { packageOf } from './pacman-repository.ts'

/** Relative to the root: a directory for each package, see libalpm's `be_local.c`. */
export const localDatabase = 'var/lib/pacman/local'

/**
 * What is installed, sorted by name. A layer has the entries of its own packages only.
 *
 * @param layers host directories, topmost first
 */
export async function installedPacmanPackages(
  layers: readonly string[],
): Promise<readonly InstalledPackage[]> {
  const entries = await installedEntries(layers)
  return entries
    .map(({ facts }) => facts)
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** What they have and want; the places as in `installedPacmanPackages()`. */
export async function pacmanContents(
  layers: readonly string[],
): Promise<readonly InstalledContents[]> {
  const entries = await installedEntries(layers)
  return Promise.all(
    entries.map(async ({ facts: { name }, text, layer, entry }) => {
      const files = await readTreeFile(layer, `${localDatabase}/${entry}/files`)
      return {
        name,
        provides: listOf(text, 'PROVIDES').map(packageOf),
        depends: listOf(text, 'DEPENDS').map((one) => [packageOf(one)]),
        files: listOf(files ?? '', 'FILES').map((path) => `/${path.replace(/\/$/, '')}`),
      }
    }),
  )
}

/** The lines of a field of a database file. */
function listOf(text: string, title: string): readonly string[] {
  const block = new RegExp(`^%${title}%\\n((?:.+\\n?)*)`, 'm').exec(text)?.[1] ?? ''
  return block.split('\n').filter((line) => line !== '')
}

/** A package's directory in the database. */
interface InstalledEntry {
  readonly facts: InstalledPackage
  /** Its `desc`. */
  readonly text: string
  readonly layer: string
  readonly entry: string
}

async function installedEntries(layers: readonly string[]): Promise<readonly InstalledEntry[]> {
  const removed = new Set<string>()
  const found = new Map<string, InstalledEntry>()
  for (const layer of layers) {
    const gone: string[] = []
    for (const entry of await listTreeDirectory(layer, localDatabase)) {
      if (removed.has(entry) || found.has(entry)) continue
      if (await isRemoved(layer, entry)) gone.push(entry)
      const text = await readTreeFile(layer, `${localDatabase}/${entry}/desc`)
      const read = text === undefined ? undefined : parseEntry(text)
      if (text !== undefined && read !== undefined)
        found.set(entry, { facts: read, text, layer, entry })
    }
    for (const entry of gone) removed.add(entry)
  }
  return [...found.values()]
}

/** Reads a package's `desc`. */
export function parseEntry(text: string): InstalledPackage | undefined {
  const field = (title: string) => new RegExp(`^%${title}%\\n(.+)$`, 'm').exec(text)?.[1]
  const [name, version] = [field('NAME'), field('VERSION')]
  if (name === undefined || version === undefined) return undefined
  return { name, version, architecture: field('ARCH') ?? 'any' }
}

/** Overlay's mark for what a layer has deleted: a device of no kind. */
async function isRemoved(layer: string, entry: string): Promise<boolean> {
  const directory = findInTree(layer, localDatabase)
  if (directory === undefined) return false
  const facts = await lstat(join(directory, entry)).catch(missing)
  return facts?.isCharacterDevice() === true && facts.rdev === 0
}
