/** `build.json`: what went in, what was done, what came out, for people and programs that come later. */
import { describeError, NspawnError, serializeError } from '../errors.ts'
import { phase, type LogSink } from '../log.ts'
import { ownVersion } from '../version.ts'
import type { BaseTree } from './base-tree.ts'
import type { ResultFile } from './results.ts'
import type { UnopenedReport } from './unopened/report-unopened.ts'

export interface StepRecord {
  readonly id: string
  readonly title: string
  readonly command: readonly string[]
  readonly user: string
  readonly network: 'loopback' | 'host'
  /** Exit status of the program; absent when it never ended by itself. */
  readonly status?: number
  /** When it began, after the beginning of the build. */
  readonly atSeconds: number
  readonly seconds: number
  readonly usage?: StepUsage
  /** What it has said, beside this record, and from which byte to which in `build.log`. */
  readonly log: { readonly name: string; readonly from: number; readonly to: number }
}

/** What the processes of a step used, the making of the container included. */
export interface StepUsage {
  /** On processors, in the program and in the kernel for it. */
  readonly userSeconds: number
  readonly systemSeconds: number
  /** Resident memory of the largest process. */
  readonly largestProcessBytes: number
}

export interface PhaseRecord {
  readonly phase: string
  /** When it began, after the beginning of the build. */
  readonly atSeconds: number
  readonly seconds: number
}

export interface BuildRecord {
  /** Grows when a field changes its meaning. */
  readonly format: 1
  readonly tool: { readonly name: string; readonly version: string }
  readonly driver: string
  /** `canceled` by a signal or by the caller. */
  readonly result: 'succeeded' | 'failed' | 'canceled'
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
  /** What was found when the results were installed, removed and purged, a line each. */
  readonly installCheck?: readonly string[]
  /** What the source asks for and its build has not opened. */
  readonly unopened?: UnopenedReport
  readonly phases: readonly PhaseRecord[]
  readonly steps: readonly StepRecord[]
  readonly outputs: readonly ResultFile[]
}

/** Collects a record while a build goes on. */
export class BuildRecorder {
  readonly steps: StepRecord[] = []
  outputs: readonly ResultFile[] = []
  facts: Pick<
    BuildRecord,
    | 'base'
    | 'source'
    | 'options'
    | 'packages'
    | 'layers'
    | 'repository'
    | 'lock'
    | 'lint'
    | 'installCheck'
    | 'unopened'
  > = {}
  /** Under way; the last one when none is. */
  current = ''
  private readonly phases: PhaseRecord[] = []
  private readonly started = new Date()
  private readonly clock = performance.now()
  private readonly driver: string
  private readonly log: LogSink

  constructor(driver: string, log: LogSink) {
    this.driver = driver
    this.log = log
  }

  /** Runs `work` as a phase, its time kept. */
  async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    this.current = name
    try {
      return await phase(this.log, name, work)
    } finally {
      const took = seconds(performance.now() - began)
      this.phases.push({ phase: name, atSeconds: this.at(began), seconds: took })
    }
  }

  /** @param time on the clock of `performance.now()`; in seconds after the beginning */
  at(time: number): number {
    return seconds(time - this.clock)
  }

  /**
   * The record as it stands.
   *
   * @param error with it the build has failed
   * @param canceled nobody waited for its end
   */
  finish(error?: unknown, canceled = false): BuildRecord {
    const finished = new Date()
    return {
      format: 1,
      tool: { name: 'tsnspawn-build', version: ownVersion() },
      driver: this.driver,
      result: canceled ? 'canceled' : error === undefined ? 'succeeded' : 'failed',
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
