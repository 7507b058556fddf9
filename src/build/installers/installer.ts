/**
 * A family's package manager inside build containers: how it is called, where its database lies, and
 * what its layers depend on. Package managers on the host, which make trees, are `bootstrap`'s.
 */
import type { Downloads } from '../download-pool.ts'
import type { PackageFacts, RepositoryPackage } from '../local-repository.ts'
import type { RootFile } from '../prepare-root.ts'
import type { Verdict } from '../step-runner.ts'

export type InstallerId = 'apt' | 'pacman' | 'dnf' | 'dnf5' | 'zypper'

/** Digests of package indexes, as mirrors have them now or as a layer was made with; sorted. */
export type IndexIdentity = readonly string[]

/** One call of the package manager, as root and with a network. */
export interface InstallerCommand {
  /** Unique among the steps of a build, fit for a file name. */
  readonly id: string
  /** What it does, for people: "read package indexes". */
  readonly title: string
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Code of the error when it fails. */
  readonly failure: 'DEPENDENCY_INDEX' | 'DEPENDENCY_INSTALL' | 'DEPENDENCY_UNSATISFIABLE'
  readonly hint: string
  /** As `Step.accept`. */
  readonly accept?: readonly number[]
  /** As `Step.verdict`. */
  readonly verdict?: (status: number, lines: readonly string[]) => Verdict | undefined
}

/**
 * Runs a command above the layers that are asked about, without a network; what it writes is thrown away.
 *
 * @returns the lines of its standard output
 */
export type Ask = (command: readonly string[]) => Promise<readonly string[]>

export interface InstalledPackage {
  readonly name: string
  readonly version: string
  readonly architecture: string
}

/** What an installed package has and wants. */
export interface InstalledContents {
  readonly name: string
  /** What else it is asked for by. */
  readonly provides: readonly string[]
  /** What has to be installed with it: names of packages, of what they provide, or paths; any one of each is enough. */
  readonly depends: readonly (readonly string[])[]
  /** Absolute paths, directories and links too. */
  readonly files: readonly string[]
}

/** How ready packages become a repository that comes before all others. */
export interface RepositoryFormat {
  /** Whether a file of this name is a package that can be installed. */
  isPackage(name: string): boolean
  /**
   * What a package says of itself.
   *
   * @throws NspawnError `BAD_PACKAGE`, what decompression throws
   */
  describe(path: string, signal: AbortSignal | undefined): Promise<PackageFacts>
  /** The index, and what tells the package manager of it. */
  files(packages: readonly RepositoryPackage[]): readonly RootFile[]
  /**
   * Makes the package manager see it, where the files alone are not enough.
   *
   * @param installed names of its packages under which others are installed already, which have to make room
   */
  commands(installed: readonly string[]): readonly InstallerCommand[]
}

/** Where the file of an installed package can be had. */
export interface PackageOrigin {
  readonly url: string
  readonly sizeBytes: number
  /** As a signed index says. */
  readonly sha256: string
}

/** A build root that is asked about. */
export interface RootPlaces {
  /** Host directories, topmost first; the last one is the tree. */
  readonly layers: readonly string[]
  readonly ask: Ask
}

/** How a manager finds the files of packages again, and installs these and nothing else. */
export interface PackageLocking {
  /** How the names of package files end. */
  readonly extension: string
  /**
   * Where packages come from, in their order; `undefined` for those that no index has (any more).
   *
   * @param root with the manager's indexes in its layers
   */
  origins(
    packages: readonly InstalledPackage[],
    root: RootPlaces,
  ): Promise<readonly (PackageOrigin | undefined)[]>
  /**
   * Installs exactly these files, older versions than the tree's too, and removes others; no index is used.
   *
   * @param paths absolute, in the container
   */
  apply(paths: readonly string[], removed: readonly InstalledPackage[]): readonly InstallerCommand[]
}

export interface Installer {
  readonly id: InstallerId
  /** Grows whenever it fills layers in another way: older layers are not used then. */
  readonly version: number
  /** Whether it is the package manager of the tree at `root`. */
  isIn(root: string): boolean
  /** The package database, relative to the root: files, or directories of them. */
  readonly database: readonly string[]
  /** Files of the tree, and directories whose files, that decide what is installed from where. */
  readonly configuration: readonly string[]
  /** What the lowest layer has to hold besides accounts and names. */
  readonly rootFiles: readonly RootFile[]
  /**
   * Asks the mirrors of a tree. Nothing is verified, nor need it be: the digests only find a layer for
   * which the package manager itself has verified these very files.
   *
   * @returns `undefined` where that cannot be known: a local repository, a mirror out of reach
   * @throws NspawnError `CANCELED`
   */
  currentIndexes(tree: string, signal: AbortSignal | undefined): Promise<IndexIdentity | undefined>
  /** The same of what it fetched into a layer. */
  layerIndexes(upper: string): Promise<IndexIdentity | undefined>
  /** Reads the indexes, and brings the tree below up to date; in this order. */
  refresh(): readonly InstallerCommand[]
  /** @param packages names, which may have versions in the manager's own notation; not empty */
  install(packages: readonly string[]): InstallerCommand
  /**
   * What is installed, sorted by name.
   *
   * @param layers host directories, topmost first
   * @param ask for those that have no other way
   */
  installed(layers: readonly string[], ask: Ask): Promise<readonly InstalledPackage[]>
  /** What the installed packages have; places and ways to ask as in `installed()`. */
  contents(layers: readonly string[], ask: Ask): Promise<readonly InstalledContents[]>
  readonly repository: RepositoryFormat
  readonly locking?: PackageLocking
  /** Where its packages can be kept for other layers. */
  readonly downloads?: Downloads
}
