/**
 * Where a tree gets its packages from, with the keyrings that must vouch for each place. The source
 * package of a name is looked for in the same places.
 */
import {
  parseDeb822 as parseStanzas,
  parseOneLine,
  type AptSource as Entry,
} from '../../bootstrap/archives/apt-sources.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'

export interface AptSuite {
  readonly uri: string
  readonly suite: string
  readonly components: readonly string[]
  /** Absolute paths on the host of the keyrings that its index must be signed with. */
  readonly keyrings: readonly string[]
}

/**
 * The suites that the tree at `root` is configured with, binary and source entries alike, each once,
 * in the order of its files.
 */
export async function readAptSuites(root: string): Promise<readonly AptSuite[]> {
  const general = await generalKeyrings(root)
  const suites = new Map<string, AptSuite>()
  for (const entry of await readEntries(root)) {
    const keyrings = entry.signedBy === undefined ? general : findAll(root, [entry.signedBy])
    for (const uri of entry.uris) {
      for (const suite of entry.suites) {
        const key = `${uri} ${suite}`
        const before = suites.get(key)
        const components = [...new Set([...(before?.components ?? []), ...entry.components])]
        suites.set(key, { uri, suite, components, keyrings: before?.keyrings ?? keyrings })
      }
    }
  }
  return [...suites.values()]
}

async function readEntries(root: string): Promise<readonly Entry[]> {
  const entries = parseOneLine((await readTreeFile(root, 'etc/apt/sources.list')) ?? '')
  for (const name of await listTreeDirectory(root, 'etc/apt/sources.list.d')) {
    const text = (await readTreeFile(root, `etc/apt/sources.list.d/${name}`)) ?? ''
    if (name.endsWith('.list')) entries.push(...parseOneLine(text))
    if (name.endsWith('.sources')) entries.push(...parseStanzas(text))
  }
  return entries
}

async function generalKeyrings(root: string): Promise<readonly string[]> {
  const directory = 'etc/apt/trusted.gpg.d'
  const names = await listTreeDirectory(root, directory)
  return findAll(
    root,
    names.filter((name) => /\.(gpg|asc)$/.test(name)).map((name) => `${directory}/${name}`),
  )
}

function findAll(root: string, paths: readonly string[]): readonly string[] {
  return paths.map((path) => findInTree(root, path)).filter((path) => path !== undefined)
}
