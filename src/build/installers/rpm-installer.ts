/** What the package managers of the rpm family can do besides what all can. */
import { createHash } from 'node:crypto'
import type { Downloads } from '../download-pool.ts'
import type { Installer, InstallerCommand } from './installer.ts'
import { readRpmRepositories, type RepositoryPlaces } from './rpm-repositories.ts'

export interface RpmInstaller extends Installer {
  /**
   * Installs packages from files, with all that they need from the repositories; nobody has signed them.
   *
   * @param paths absolute, in the container
   * @param wishes `fileLists`: something is required by a path that is in no usual directory of programs
   */
  installFiles(
    paths: readonly string[],
    wishes: { readonly fileLists: boolean },
    rest: Pick<InstallerCommand, 'id' | 'title' | 'failure' | 'hint'>,
  ): InstallerCommand
}

/** Packages lie below the names of their repositories, beside the indexes; each manager knows its own by their hashes. */
export function rpmDownloads(places: RepositoryPlaces): Downloads {
  return {
    directory: cacheDirectory,
    isPackage: (path) => path.endsWith('.rpm'),
    shared: true,
    // Distributions give the same names to different packages.
    pool: async (tree) => {
      const repositories = await readRpmRepositories(tree, places)
      const digest = createHash('sha256').update(JSON.stringify(repositories)).digest('hex')
      return `rpm/${digest.slice(0, 12)}`
    },
  }
}

/** Indexes and packages are put here: what a tree's own cache has is not taken for something new. */
export const cacheDirectory = 'var/cache/tsnspawn-build'
