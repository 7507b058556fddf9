/**
 * What a recipe says: data only, short enough to be reviewed beside the distribution's own
 * documentation. `bootstrap/` interprets it; a recipe that wants an `if` shows that a field is missing.
 */

/** systemd's names of architectures (`systemd-detect-virt`, `ConditionArchitecture=`), as far as used. */
export type Architecture =
  | 'x86'
  | 'x86-64'
  | 'arm'
  | 'arm64'
  | 'ppc64-le'
  | 's390x'
  | 'riscv64'
  | 'loongarch64'

/** Ways to fill an empty directory; each is a file of `bootstrap/`. */
export type StrategyId = 'embedded' | 'mmdebstrap' | 'debootstrap'

/** Things done to a tree after the strategy has filled it; each has a function in `bootstrap/`. */
export type FinishingItem =
  | 'machine-id'
  | 'resolv-conf'
  | 'hostname'
  | 'hosts'
  | 'locale'
  | 'root-password'
  | 'apt-configuration'
  | 'apt-sources'
  | 'package-caches'
  | 'logs'
  | 'device-nodes'

export interface Release {
  /** The name that archives and trees use (`trixie`); unique within the recipe. */
  readonly codename: string
  /** `VERSION_ID=` of its os-release; absent where trees carry none (testing, rolling). */
  readonly version?: string
  /** `VERSION_CODENAME=` of its os-release, where it is not the codename itself (sid says testing's). */
  readonly osCodename?: string
  /** Other names a user may say for it. */
  readonly aliases?: readonly string[]
  /** Suites beside the main one, each with the mirror it lies on. */
  readonly extraSuites?: readonly { readonly suite: string; readonly mirror: 'main' | 'security' }[]
  /** How its own apt is used to read sources; default `deb822`. */
  readonly sourcesFormat?: 'deb822' | 'one-line'
}

export interface PackageSet {
  /** The tool's variant (`minbase`, `buildd`). */
  readonly variant: string
  readonly include: readonly string[]
}

export interface Recipe {
  /** What the user says: `create debian`. */
  readonly id: string
  readonly title: string
  /** Newest first. */
  readonly releases: readonly Release[]
  readonly defaultRelease: string
  /** systemd's name of an architecture → the distribution's. */
  readonly architectures: Readonly<Partial<Record<Architecture, string>>>
  readonly mirrors: {
    /** Used when the host's own package configuration names none. */
    readonly main: string
    readonly security?: string
  }
  readonly components: readonly string[]
  /** Keyring files on the host, and the package of the host that brings them. */
  readonly keyring: { readonly path: string; readonly hostPackage: string }
  readonly packageSets: Readonly<Record<'minimal' | 'build' | 'boot', PackageSet>>
  /** The first one that can work on the host is taken. */
  readonly strategies: readonly StrategyId[]
  readonly finishing: readonly FinishingItem[]
  /** What `ID=` of the tree's os-release must say. */
  readonly osRelease: { readonly id: string }
  /** Which driver of `build/` builds its packages. */
  readonly buildDriver: 'debian'
}

/** Gives a recipe its type, and its author completion; the value is handed back as it is. */
export function defineRecipe<const T extends Recipe>(recipe: T): T {
  return recipe
}
