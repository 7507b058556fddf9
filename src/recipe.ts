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

/** Ways to fill an empty directory, by the package manager that the tree will have. */
interface StrategyIds {
  readonly apt: 'embedded' | 'mmdebstrap' | 'debootstrap'
  readonly pacman: 'pacman' | 'pacstrap' | 'image'
  readonly rpm: 'dnf5' | 'dnf' | 'zypper'
}

export type Family = keyof StrategyIds

/** With its programs on the host, or in a tree of tools. */
type Ways<Id extends string> = Id | `tools:${Id}`

export type StrategyId = Ways<StrategyIds[Family]>

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
  | 'pacman-configuration'
  | 'pacman-keyring'
  | 'rpm-database'
  | 'zypper-repositories'
  | 'package-caches'
  | 'logs'
  | 'device-nodes'

export interface Release {
  /** The name that archives use (`trixie`, `43`, `rolling`); unique within the recipe. */
  readonly name: string
  /** `VERSION_ID=` of its os-release; absent where trees carry none (testing, rolling). */
  readonly version?: string
  /** `major` where a tree of release 9 may say 9.4. */
  readonly versionMatch?: 'major'
  /** Other names a user may say for it. */
  readonly aliases?: readonly string[]
  /** Where they differ from the recipe's. */
  readonly packageSets?: Partial<PackageSets>
}

export interface AptRelease extends Release {
  /** `VERSION_CODENAME=` of its os-release, where it is not the name itself (sid says testing's). */
  readonly osCodename?: string
  /** Suites beside the main one, each with the mirror it lies on. */
  readonly extraSuites?: readonly { readonly suite: string; readonly mirror: 'main' | 'security' }[]
  /** How its own apt is used to read sources; default `deb822`. */
  readonly sourcesFormat?: 'deb822' | 'one-line'
}

export interface PackageSet {
  /** The tool's variant (`minbase`, `buildd`), for tools that have such. */
  readonly variant?: string
  /** Packages, or groups as the family writes them (`@buildsys-build`, `base-devel`). */
  readonly include: readonly string[]
}

export type PackageSets = Readonly<Record<'minimal' | 'build' | 'boot', PackageSet>>

/**
 * What a tree is to be like beyond its packages, each as the option of `create` takes it. Paths are relative to the
 * file that says so.
 */
export interface CustomizationWords {
  readonly hostname?: string | undefined
  /** As `LANG=` takes it (`de_DE.UTF-8`). */
  readonly locale?: string | undefined
  /** `Europe/Berlin`. */
  readonly timezone?: string | undefined
  readonly keymap?: string | undefined
  /** `locked`, `empty`, `credential`, `@FILE`, or a hash. */
  readonly rootPassword?: string | undefined
  /** `NAME[:PASSWORD[:GROUP,GROUP...]]`. */
  readonly users?: readonly string[] | undefined
  /** `[USER:]FILE`. */
  readonly sshKeys?: readonly string[] | undefined
  /** Who is logged in on the console without being asked. */
  readonly autologin?: string | undefined
  readonly network?: 'host0' | 'none' | undefined
  /** `SOURCE:DESTINATION`. */
  readonly copyIn?: readonly string[] | undefined
  /** Paths of programs, or names of what comes along. */
  readonly hooks?: readonly string[] | undefined
  /** What hooks see of the network; default `none`. */
  readonly hookNetwork?: 'host' | 'none' | undefined
}

interface RecipeOf<F extends Family> {
  readonly family: F
  /** What the user says: `create debian`. */
  readonly id: string
  readonly title: string
  readonly defaultRelease: string
  /** systemd's name of an architecture → the distribution's. */
  readonly architectures: Readonly<Partial<Record<Architecture, string>>>
  readonly packageSets: PackageSets
  /** The first one that can work on the host is taken. */
  readonly strategies: readonly Ways<StrategyIds[F]>[]
  readonly finishing: readonly FinishingItem[]
  /** What options of `create` add to, or take the place of. */
  readonly customize?: CustomizationWords
  /** The package that brings other locales than C.UTF-8, `$language` being their language; undefined where the base does. */
  readonly localePackage?: string
  /** What `ID=` of the tree's os-release must say, and `BUILD_ID=` where trees have no version. */
  readonly osRelease: { readonly id: string; readonly buildId?: string }
  /** Which driver of `build/` builds its packages; undefined where there is none. */
  readonly buildDriver?: 'debian'
}

/** Used when the host's own package configuration names none. */
export interface AptMirrors {
  readonly main: string
  readonly security?: string
}

/** Debian and its derivatives: signed suites on mirrors. */
export interface AptRecipe extends RecipeOf<'apt'> {
  /** Newest first. */
  readonly releases: readonly AptRelease[]
  readonly mirrors: AptMirrors
  /** `recipe`: they count even on a host of this distribution, which has mirrors of its own. */
  readonly mirrorsOf?: 'recipe'
  /** Where the packages of some architectures are kept apart. */
  readonly portsMirrors?: AptMirrors & { readonly architectures: readonly Architecture[] }
  readonly components: readonly string[]
  /** Keyring files on the host, and the package of the host that brings them. */
  readonly keyring: { readonly path: string; readonly hostPackage: string }
}

/** Arch and its derivatives: repositories of one mirror. */
export interface PacmanRecipe extends RecipeOf<'pacman'> {
  readonly releases: readonly Release[]
  /** Architecture, by systemd's name → URL of a mirror; `default` for all others. */
  readonly mirrors: Readonly<Record<string, string>>
  /** What lies below a mirror, with `$repo` and `$arch` as in pacman.conf(5). */
  readonly layout: string
  /** Where the state of one day is kept: `$date` is `YYYY/MM/DD`. */
  readonly snapshotMirror?: string
  /** In the order of preference. */
  readonly repositories: readonly string[]
  /** What pacman-key(8) calls it (`archlinux`), and the package that brings it. */
  readonly keyring: { readonly name: string; readonly package: string }
  /** A tar of a tree with pacman in it, with `$arch`, and its signature (`.sig`) beside it. */
  readonly image?: {
    readonly url: string
    /** Where mirrors have it too, below their own URL. */
    readonly onMirror?: string
  }
}

/** One repository, as in dnf.conf(5). `$releasever` and `$basearch` stand in all URLs. */
export interface RpmRepository {
  readonly id: string
  readonly title: string
  readonly source: { readonly kind: 'metalink' | 'mirrorlist' | 'baseurl'; readonly url: string }
  /** Where it lies below a mirror that the user names. */
  readonly path: string
  /** Only updates are left out by `--no-updates`. */
  readonly role: 'base' | 'updates'
  /** Releases that have it; default all. A release that the recipe does not know has those of the default one. */
  readonly releases?: readonly string[]
  /** Architectures that it has packages of; default all. */
  readonly architectures?: readonly Architecture[]
  /** Where the states of former days are kept: for releases that are days (`20240601`), which `$releasever` stands for. */
  readonly snapshot?: { readonly url: string; readonly path: string }
  /** Package sets that need it; default all. */
  readonly sets?: readonly (keyof RpmRecipe['packageSets'])[]
}

/** A key that packages are signed with, and where hosts keep it; `$releasever` stands in both. */
export interface RpmKey {
  /** As `distribution-gpg-keys` lays it out (`fedora/RPM-GPG-KEY-…`); elsewhere only its last part counts. */
  readonly file: string
  /** Part of its user id, to find it among many in one file. */
  readonly user?: string
}

/** Where a tree's own rpm has its database, and how it writes it. */
export interface RpmDatabase {
  readonly path: string
  readonly format: 'sqlite' | 'ndb' | 'bdb'
}

export interface RpmRelease extends Release {
  /** Where it differs from the recipe's. */
  readonly keys?: readonly RpmKey[]
  /** Where it differs from the recipe's. */
  readonly database?: RpmDatabase
}

/** Distributions of rpm packages, whether dnf or zypper brings them. */
export interface RpmRecipe extends RecipeOf<'rpm'> {
  readonly releases: readonly RpmRelease[]
  readonly repositories: readonly RpmRepository[]
  /** Whether repository metadata is signed too. */
  readonly metadataSigned: boolean
  /** All that this host has are trusted, and one at least it must have. */
  readonly keys: readonly RpmKey[]
  readonly database: RpmDatabase
  /** Prefix of `module_platform_id`, where the distribution has modules (`platform:el`). */
  readonly modulePlatform?: string
}

export type Recipe = AptRecipe | PacmanRecipe | RpmRecipe

/** Gives a recipe its type, and its author completion; the value is handed back as it is. */
export function defineRecipe<const T extends Recipe>(recipe: T): T {
  return recipe
}
