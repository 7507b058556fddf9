/** What is particular to a package manager in a tree that is there already, however it was made. */
import type { Archive } from '../archives/archive.ts'
import type { TreePlan } from '../plan.ts'
import type { TreeInMaking } from '../run-in-tree.ts'
import type { TreeFiles } from '../tree-files.ts'

export interface InstalledPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
}

/** @typeParam A its archive */
export interface Family<A extends Archive = Archive> {
  /**
   * Whether a file of the package cache, by its path in it, is kept for other trees: a package for this
   * architecture or for any, or what describes those.
   */
  isPackage(path: string, packageArchitecture: string): boolean
  /**
   * What is wholly installed, by name; undefined when the tree has no such database.
   *
   * @throws NspawnError `BOOTSTRAP_VERIFY` when packages are half installed
   */
  installedPackages(
    tree: TreeInMaking,
    files: TreeFiles,
  ): Promise<readonly InstalledPackage[] | undefined>
  /**
   * Brings a tree up to the updates of its sources, by its own package manager.
   *
   * @param plan of a tree that was made from a release alone, and shall have the plan's sources; undefined
   *   takes those that it has
   * @throws NspawnError `BOOTSTRAP_FAILED`
   */
  installUpdates(tree: TreeInMaking, files: TreeFiles, plan: TreePlan<A> | undefined): Promise<void>
}
