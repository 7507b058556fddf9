/**
 * What happens, as typed events. Rooms below `cli` emit them into the sink they were given; `cli`
 * chooses how they look (terminal, plain lines, JSON). Nobody below `cli` prints.
 */

/** `build`: which of several builds says it; absent where there is but one. */
export type LogEvent = Happening & { readonly build?: string }

type Happening =
  /** A phase of a long verb begins or ends. `durationMs` is there at the end. */
  | {
      readonly kind: 'phase'
      readonly phase: string
      readonly state: 'start' | 'end' | 'failed'
      readonly durationMs?: number
    }
  /** One thing done within a phase, in words ("installing libc6"). */
  | { readonly kind: 'step'; readonly text: string }
  /** Progress of the current phase: `done` of `total` in `unit`; total may be unknown. */
  | {
      readonly kind: 'progress'
      readonly text: string
      readonly done: number
      readonly total: number | undefined
      readonly unit: 'bytes' | 'packages' | 'files'
      /** Of the last seconds, where it is measured. */
      readonly perSecond?: number
      readonly remainingSeconds?: number
    }
  /** A line of a wrapped program's output. */
  | { readonly kind: 'output'; readonly stream: 'stdout' | 'stderr'; readonly line: string }
  | { readonly kind: 'notice'; readonly text: string }
  | { readonly kind: 'warning'; readonly text: string; readonly hint?: string }
  /** The value a verb hands back, for `--json`. */
  | { readonly kind: 'result'; readonly value: unknown }

export type LogSink = (event: LogEvent) => void

/** Drops everything; the default of the library. */
export const silent: LogSink = () => {}

/**
 * Runs `work` as a phase: its start, its end with the time taken, or its failure are emitted.
 */
export async function phase<T>(log: LogSink, name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now()
  log({ kind: 'phase', phase: name, state: 'start' })
  try {
    const value = await work()
    log({ kind: 'phase', phase: name, state: 'end', durationMs: performance.now() - began })
    return value
  } catch (error) {
    log({ kind: 'phase', phase: name, state: 'failed', durationMs: performance.now() - began })
    throw error
  }
}
