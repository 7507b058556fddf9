/**
 * What a family knows about building its packages. Everything else (directories, locks, log, record,
 * results, failures, clean-up) is the engine's, in `run-build.ts`, and the same for all.
 */
import type { LogSink } from '../log.ts'
import type { Credential, ResourceControl } from '../settings/settings.ts'
import type { BaseTree } from './base-tree.ts'
import type { Installer } from './installers/installer.ts'
import type { BuildRecord } from './record.ts'
import type { Varied } from './reproducible/variation.ts'
import type { Owner, ResultFile } from './results.ts'
import type { BuildSession } from './session.ts'

export type DriverId = 'debian' | 'arch' | 'rpm' | 'command'

/** What every build is told, whatever its family. */
export interface BuildRequest {
  /** Absolute path of a tree of the driver's family; it is locked shared and never changed. */
  readonly tree: string
  /** Absolute; made when missing. */
  readonly outputDirectory: string
  readonly stateDirectory: string
  readonly options: BuildOptions
  /** For all containers of the build together. */
  readonly timeoutMs?: number | undefined
  /** Who results belong to; default: the user of this process. */
  readonly owner?: Owner | undefined
  /** Leaves the throw-away directories behind, under a name that is not cleaned up. */
  readonly keep?: boolean | undefined
  /** Uses no kept layers and keeps none: toolchain and dependencies are installed for this build alone. */
  readonly fresh?: boolean | undefined
  /** Ready packages that are preferred to those of the archives when dependencies are installed. */
  readonly packages?: ReadyPackages | undefined
  /** Writes down the packages of the build root, or has it made of those that are written down. */
  readonly lock?: LockRequest | undefined
  /** Unpacks and builds under other circumstances than usual, see `reproducible/variation.ts`. */
  readonly varied?: Varied | undefined
  /** Builds only when something has changed since the last success in the output directory. */
  readonly ifChanged?: boolean | undefined
  /** Finds out which of what the source asks for its build has never opened a file of. */
  readonly unopened?: boolean | undefined
  /** Opens a shell on the caller's terminal before the build command. */
  readonly shellBefore?: boolean | undefined
  /** Opens a shell on the caller's terminal where a step failed. */
  readonly shellOnFailure?: boolean | undefined
  /** Files that the build command finds in `$CREDENTIALS_DIRECTORY`; they are in no record. */
  readonly credentials?: readonly Credential[] | undefined
  /** The caller's proxy variables, for the steps with a network. */
  readonly proxy?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/** Packages that somebody has made before. */
export interface ReadyPackages {
  /** Absolute; each must be a package of the tree's family. */
  readonly files: readonly string[]
  /** Absolute; all packages in them and below count. */
  readonly directories: readonly string[]
}

export interface LockRequest {
  readonly use: 'write' | 'read'
  /** Absolute path of the lock file. */
  readonly path: string
}

/** What may be asked of any build; families add their own. */
export interface BuildOptions {
  /** How much the build may do at once. */
  readonly jobs: number
  /** `host` leaves the network to the build; the default is a loopback interface and nothing else. */
  readonly network: 'none' | 'host'
  /** More variables for the build, `NAME` → value. */
  readonly environment: Readonly<Record<string, string>>
  /** For containers that run code of the source; the default is none. */
  readonly limits?: BuildLimits | undefined
}

export interface BuildLimits extends ResourceControl {
  /** A step that prints nothing for so long is ended. */
  readonly silenceMs?: number | undefined
  /** What the build may write altogether, besides the results that it gives away. */
  readonly diskBytes?: number | undefined
}

/**
 * A family's way to build. One object serves all builds; what one build knows lives in the `DriverRun`
 * that `begin()` makes for it.
 */
export interface Driver<Request extends BuildRequest = BuildRequest> {
  readonly id: DriverId
  /**
   * Describes a tree that is to be built in.
   *
   * @throws NspawnError `INVALID_TREE` when this family's packages cannot be built in it
   */
  describeTree(path: string): Promise<BaseTree>
  /** The package manager that its builds in the tree at `path` install with, where there is one. */
  installerOf(path: string): Installer | undefined
  /** Directory that builds happen in; none where results tell it on purpose. */
  readonly buildPath?: string
  begin(session: BuildSession<Request>): DriverRun
}

/** What a build stands on when its dependencies are there. */
export interface BuildGround {
  /** Host directories, the lowest one first: the tree, and the layers above it without the source's own. */
  readonly layers: readonly string[]
  /** What the source asks for, as `SourceOutline.needs`. */
  readonly needs: SourceOutline['needs']
}

/** What is built, for messages and records. */
export interface Subject {
  readonly name: string
  readonly version?: string | undefined
}

/** What a source says before it is built: enough to put several into an order. */
export interface SourceOutline extends Subject {
  /** Names of the packages that come of it, and what else they provide; sorted. */
  readonly makes: readonly string[]
  /** What has to be installed before, as names of which any one is enough, the preferred one first. */
  readonly needs: readonly (readonly string[])[]
}

/**
 * One build under way. The engine calls the phases in this order, each one once, and never two at a
 * time; a phase that throws is the last one.
 */
export interface DriverRun {
  /** Known once the source has been fetched. */
  readonly subject: Subject
  /** Brings the source into `session.place.sources`, checked. On the host, so nothing of it is executed. */
  fetch(): Promise<void>
  /** What the source makes and needs; called in place of all phases, so that it fetches what it takes. */
  outline(): Promise<SourceOutline>
  /** Finds or makes the layers below the build; the only phase with a network unless it was asked for. */
  dependencies(): Promise<void>
  /** What the build stands on; called when it has succeeded. */
  ground(): Promise<BuildGround>
  /** Makes ready what the build command wants to find. */
  unpack(): Promise<void>
  build(): Promise<void>
  /** Copies the results to `session.place.results`, checked; the most important one last. */
  collect(): Promise<readonly ResultFile[]>
  /**
   * Tries the collected results and looks at them, where that was asked for. Whatever it throws, they are handed out.
   *
   * @throws NspawnError `TEST_…` when something is wrong with them
   */
  readonly inspect?: (() => Promise<void>) | undefined
}

export interface BuildResult {
  /** What the history calls this build. */
  readonly id: string
  readonly name: string
  readonly version: string | undefined
  /** Absolute paths in the output directory, the most important one last. */
  readonly files: readonly string[]
  readonly logPath: string
  readonly recordPath: string
  readonly record: BuildRecord
  /** Nothing has been built: it is the result of an earlier one. */
  readonly unchanged?: true
}
