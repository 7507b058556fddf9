/** `build.json`: what went in, what was done, what came out, for people and programs that come later. */
import { describeError, NspawnError, serializeError } from '../errors.ts'
import { phase, type LogSink } from '../log.ts'
import { ownVersion } from '../version.ts'
import type { BaseTree } from './base-tree.ts'
import type { ResultFile } from './results.ts'

export interface StepRecord {
  readonly id: string
  readonly title: string
  readonly command: readonly string[]
  readonly user: string
  readonly network: 'loopback' | 'host'
  /** Exit status of the program; absent when it never ended by itself. */
  readonly status?: number
  readonly seconds: number
}

export interface BuildRecord {
  /** Grows when a field changes its meaning. */
  readonly format: 1
  readonly tool: { readonly name: string; readonly version: string }
  readonly driver: string
  readonly result: 'succeeded' | 'failed'
  readonly failure?: {
    readonly code: string
    /** What the program said: the whole chain of causes, with the last lines of output. */
    readonly message: string
    readonly step?: string
  }
  /** ISO 8601, UTC. */
  readonly started: string
  readonly finished: string
  readonly seconds: number
  readonly base?: BaseTree
  /** The driver's own account of its source, options and build root. */
  readonly source?: unknown
  readonly options?: unknown
  readonly packages?: readonly unknown[]
  readonly layers?: readonly unknown[]
  /** Ready packages that were preferred to those of the archives. */
  readonly repository?: readonly unknown[]
  /** The lock that the build root was made from. */
  readonly lock?: { readonly path: string; readonly sha256: string }
  /** What a tool that looks at packages has said, a line each; it decides nothing. */
  readonly lint?: readonly string[]
  readonly phases: readonly { readonly phase: string; readonly seconds: number }[]
  readonly steps: readonly StepRecord[]
  readonly outputs: readonly ResultFile[]
}

/** Collects a record while a build goes on. */
export class BuildRecorder {
  readonly steps: StepRecord[] = []
  outputs: readonly ResultFile[] = []
  facts: Pick<
    BuildRecord,
    'base' | 'source' | 'options' | 'packages' | 'layers' | 'repository' | 'lock' | 'lint'
  > = {}
  private readonly phases: { phase: string; seconds: number }[] = []
  private readonly started = new Date()
  private readonly driver: string
  private readonly log: LogSink

  constructor(driver: string, log: LogSink) {
    this.driver = driver
    this.log = log
  }

  /** Runs `work` as a phase, its time kept. */
  async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await phase(this.log, name, work)
    } finally {
      this.phases.push({ phase: name, seconds: seconds(performance.now() - began) })
    }
  }

  /** The record as it stands; with `error` the build has failed. */
  finish(error?: unknown): BuildRecord {
    const finished = new Date()
    return {
      format: 1,
      tool: { name: 'tsnspawn-build', version: ownVersion() },
      driver: this.driver,
      result: error === undefined ? 'succeeded' : 'failed',
      ...(error === undefined ? {} : { failure: this.describe(error) }),
      started: this.started.toISOString(),
      finished: finished.toISOString(),
      seconds: seconds(finished.getTime() - this.started.getTime()),
      ...this.facts,
      phases: this.phases,
      steps: this.steps,
      outputs: this.outputs,
    }
  }

  private describe(error: unknown): NonNullable<BuildRecord['failure']> {
    const { code = 'BUG' } = serializeError(error) ?? {}
    const message = describeError(error)
    const last = this.steps.at(-1)
    const byStep = error instanceof NspawnError && last !== undefined && last.status !== 0
    return { code, message, ...(byStep ? { step: last.id } : {}) }
  }
}

/** Milliseconds as seconds with three decimals. */
export function seconds(durationMs: number): number {
  return Math.round(durationMs) / 1000
}
