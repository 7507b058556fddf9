/** Ways to fill an empty directory: with a host's own tool, or with nothing but this program. */
import type { LogEvent } from '../log.ts'
import type { CreateContext } from './create-context.ts'
import type { BootstrapHost } from './host.ts'
import type { StrategyJudge, TreePlan } from './plan.ts'
import type { ToolLog } from './tool-log.ts'

/** Directories of one run; all lie in the stage and go away with it. */
export interface StrategyPaths {
  /** The empty directory to fill. */
  readonly tree: string
  /** Downloaded packages: filled before from the cache, taken back into it after. */
  readonly packages: string
  /** TMPDIR of the tool. */
  readonly temporary: string
  /** `templates/` of this package. */
  readonly templates: string
}

interface Way extends StrategyJudge {
  /** Whether the extra suites (updates, security) are installed from, or have to be upgraded to after. */
  readonly updates: 'included' | 'after'
}

/** A tool of the host. */
export interface ToolStrategy extends Way {
  readonly kind: 'tool'
  commandLine(
    plan: TreePlan,
    paths: StrategyPaths,
    host: BootstrapHost,
  ): readonly [string, ...string[]]
  environment(paths: StrategyPaths): Readonly<Record<string, string>>
  /** A line of the tool's output as an event, or undefined when it says nothing new. */
  readLine(line: string): LogEvent | undefined
  /** What a failure means, from the tool's output; undefined when it is not known. */
  diagnose(lines: readonly string[]): Diagnosis | undefined
}

/** This program itself. */
export interface OwnStrategy extends Way {
  readonly kind: 'own'
  /**
   * Fills the tree.
   *
   * @throws NspawnError `BOOTSTRAP_…`, `CANCELED`, `ENOSPC`
   */
  fill(plan: TreePlan, paths: StrategyPaths, log: ToolLog, context: CreateContext): Promise<void>
}

export type Strategy = ToolStrategy | OwnStrategy

export interface Diagnosis {
  readonly code: string
  readonly message: string
  readonly hint: string
}
