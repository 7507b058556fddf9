/** The package managers there are. */
import type { Archive } from './archives/archive.ts'
import { apt } from './families/apt.ts'
import { pacman } from './families/pacman.ts'
import { rpm } from './families/rpm.ts'
import type { Family } from './families/family.ts'
import type { TreeInMaking } from './run-in-tree.ts'
import type { TreeFiles } from './tree-files.ts'

const families: Readonly<Record<Archive['family'], Family>> = { apt, pacman, rpm }

export function familyOf({ archive }: { readonly archive: Archive }): Family {
  return families[archive.family]
}

/** The package manager that a tree was made with, recognised by its database; undefined where there is none. */
export async function familyOfTree(
  tree: TreeInMaking,
  files: TreeFiles,
): Promise<Family | undefined> {
  // Other managers may be there as tools, with a database in which there is nothing.
  for (const family of Object.values(families)) {
    const packages = await family.installedPackages(tree, files)
    if (packages !== undefined && packages.length > 0) return family
  }
  return undefined
}
