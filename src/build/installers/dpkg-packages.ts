/** The packages of a build root, read from dpkg's own database: no container is needed for it. */
import { readTreeFile } from '../tree-path.ts'
import { parseDeb822 } from '../../bootstrap/debian/deb822.ts'
import type { InstalledPackage } from './installer.ts'

/**
 * What is installed, sorted by name.
 *
 * @param layers host directories, topmost first; the first one with a database counts
 */
export async function installedDpkgPackages(
  layers: readonly string[],
): Promise<readonly InstalledPackage[]> {
  for (const layer of layers) {
    const text = await readTreeFile(layer, 'var/lib/dpkg/status')
    if (text !== undefined) return parseStatus(text)
  }
  return []
}

/** The architecture of the tree at `root`, as dpkg calls it: that of dpkg itself. */
export async function dpkgArchitecture(root: string): Promise<string> {
  const dpkg = (await installedDpkgPackages([root])).find(({ name }) => name === 'dpkg')
  return dpkg?.architecture ?? ''
}

/** Reads dpkg's status file; packages that are removed or half installed are left out. */
export function parseStatus(text: string): readonly InstalledPackage[] {
  return parseDeb822(text, 'var/lib/dpkg/status')
    .filter((paragraph) => paragraph.get('Status')?.endsWith(' installed') === true)
    .map((paragraph) => ({
      name: paragraph.get('Package') ?? '',
      version: paragraph.get('Version') ?? '',
      architecture: paragraph.get('Architecture') ?? '',
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}
