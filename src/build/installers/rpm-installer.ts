/** What the package managers of the rpm family can do besides what all can. */
import type { Installer, InstallerCommand } from './installer.ts'

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

/** Indexes and packages are put here: what a tree's own cache has is not taken for something new. */
export const cacheDirectory = 'var/cache/tsnspawn-build'
