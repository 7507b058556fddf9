/** What is installed in a Debian tree, read from dpkg's own database: deb822 stanzas, deb-control(5). */
import type { TreeFiles } from '../tree-files.ts'
import type { InstalledPackage } from './family.ts'

const path = '/var/lib/dpkg/status'

/** The packages that are wholly installed, by name; undefined when the tree has no such database. */
export function installedPackages(files: TreeFiles): InstalledPackage[] | undefined {
  const text = files.read(path)
  if (text === undefined) return undefined
  const found: InstalledPackage[] = []
  for (const { name, version, architecture, status } of entries(text)) {
    if (status !== 'install ok installed') continue
    if (name === undefined || version === undefined || architecture === undefined) continue
    found.push({ name, version, architecture })
  }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Packages that dpkg has begun and not ended with, and what state they are in. */
export function brokenPackages(files: TreeFiles): string[] {
  const broken: string[] = []
  for (const { name, status } of entries(files.read(path) ?? '')) {
    const state = /^\S+ \S+ (\S+)$/.exec(status ?? '')?.[1]
    if (name === undefined || state === undefined) continue
    if (!['installed', 'config-files', 'not-installed'].includes(state))
      broken.push(`${name} (${state})`)
  }
  return broken
}

interface Entry {
  readonly name: string | undefined
  readonly version: string | undefined
  readonly architecture: string | undefined
  readonly status: string | undefined
}

/** Takes each line once: packages that ran as they liked may have written the text. */
function* entries(text: string): Generator<Entry> {
  for (const stanza of text.split('\n\n')) {
    yield {
      name: /^Package: (.*)$/m.exec(stanza)?.[1],
      version: /^Version: (.*)$/m.exec(stanza)?.[1],
      architecture: /^Architecture: (.*)$/m.exec(stanza)?.[1],
      status: /^Status: (.*)$/m.exec(stanza)?.[1],
    }
  }
}

/** The name of a package without its architecture (`libc6:amd64`). */
export function bareName(name: string): string {
  return name.replace(/:.*$/, '')
}
