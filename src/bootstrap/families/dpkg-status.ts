/** What is installed in a Debian tree, read from dpkg's own database: deb822 stanzas, deb-control(5). */
import type { TreeFiles } from '../tree-files.ts'
import type { InstalledPackage } from './family.ts'

/** The packages that are wholly installed, by name; undefined when the tree has no such database. */
export function installedPackages(files: TreeFiles): InstalledPackage[] | undefined {
  const text = files.read('/var/lib/dpkg/status')
  if (text === undefined) return undefined
  const found: InstalledPackage[] = []
  for (const stanza of text.split('\n\n')) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1]
    const [name, version, architecture] = [
      field('Package'),
      field('Version'),
      field('Architecture'),
    ]
    if (field('Status') !== 'install ok installed') continue
    if (name === undefined || version === undefined || architecture === undefined) continue
    found.push({ name, version, architecture })
  }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Packages that dpkg has begun and not ended with, and what state they are in. */
export function brokenPackages(files: TreeFiles): string[] {
  const text = files.read('/var/lib/dpkg/status') ?? ''
  // Between the two lines some packages have one on being essential.
  const states = [...text.matchAll(/^Package: (\S+)\n(?:.+\n)*?Status: \S+ \S+ (\S+)$/gm)]
  return states
    .filter(([, , state]) => !['installed', 'config-files', 'not-installed'].includes(state!))
    .map(([, name, state]) => `${name} (${state})`)
}

/** The name of a package without its architecture (`libc6:amd64`). */
export function bareName(name: string): string {
  return name.replace(/:.*$/, '')
}
