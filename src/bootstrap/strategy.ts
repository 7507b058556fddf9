/** Ways to fill an empty directory: with tools of the host, or with nothing but this program. */
import type { LogEvent } from '../log.ts'
import type { Archive } from './archives/archive.ts'
import type { CreateContext } from './create-context.ts'
import type { StrategyJudge, TreePlan } from './plan.ts'
import type { ToolLog } from './tool-log.ts'
import type { ToolPlace } from './tools.ts'

/** Directories of one run; all lie in the stage and go away with it. */
export interface StrategyPaths {
  /** The empty directory to fill. */
  readonly tree: string
  /** Downloaded packages: filled before from the pool, taken back into it after. */
  readonly packages: string
  /** Packages of earlier runs, not to be written to. */
  readonly pool: string
  /** TMPDIR of the tools, and room for files of their configuration. */
  readonly temporary: string
  /** `templates/` of this package. */
  readonly templates: string
}

/** What a strategy works with. The paths are the same on the host and where the tools run. */
export interface StrategyRun {
  readonly paths: StrategyPaths
  /** Runs the strategy's programs; what they print is logged, read and diagnosed. */
  readonly tools: ToolPlace
  readonly log: ToolLog
  readonly context: CreateContext
}

/** @typeParam A the archive that it knows how to use */
export interface Strategy<A extends Archive = Archive> extends StrategyJudge<A> {
  /** Whether updates are installed from the beginning, or have to be upgraded to after. */
  readonly updates: 'included' | 'after'
  /** `itself`: it takes what it needs from the pool, so that nothing else is brought; default all is. */
  readonly takesFromPool?: 'itself'
  /** Programs that take part, whose versions the manifest tells. */
  readonly programs: readonly string[]
  /** Asks a program for its version; default `PROGRAM --version`. */
  versionCommand?(program: string, paths: StrategyPaths): [string, ...string[]]
  /** Packages of Debian that bring all of them, for a tree of tools. */
  readonly toolPackages?: readonly string[]
  /** Files that the strategy asks for and that those packages bring; default all that it asks for. */
  readonly toolFiles?: readonly string[]
  /** Where they run; default `host`. */
  readonly place?: 'host' | 'tools tree'
  /**
   * Fills the tree.
   *
   * @throws NspawnError `BOOTSTRAP_…`, `CANCELED`, `ENOSPC`, or what a program's failure was
   */
  fill(plan: TreePlan<A>, run: StrategyRun): Promise<void>
  /** A line of a tool's output as an event, or undefined when it says nothing new. */
  readLine?(line: string): LogEvent | undefined
  /** What a tool's failure means, from its output; undefined when it is not known. */
  diagnose?(lines: readonly string[]): Diagnosis | undefined
}

export interface Diagnosis {
  readonly code: string
  readonly message: string
  readonly hint: string
}
