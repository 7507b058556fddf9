/**
 * Carries builds out in an order that suits their edges, several at once where that leaves each its share. Knows
 * nothing of packages, so that it can be tried with anything that takes time.
 */
import { needsOf, type Edge, type Shares } from './order.ts'

export type Outcome<T> =
  | { readonly state: 'succeeded'; readonly value: T }
  | { readonly state: 'failed'; readonly error: unknown }
  /** `because`: names of those that failed below it; none when everything was stopped for a failure. */
  | { readonly state: 'left-out'; readonly because: readonly string[] }

export interface ScheduleRequest<T> extends Shares {
  /** In the order in which they are wanted, as far as edges allow. */
  readonly names: readonly string[]
  readonly edges: readonly Edge[]
  readonly shares: ReadonlyMap<string, number>
  /** Goes on with what does not need the failed ones. */
  readonly continues: boolean
  /**
   * Builds.
   *
   * @param below those that it needs, directly or not; all have succeeded
   * @returns besides the value: what else must be there for those who need this one
   */
  build(
    name: string,
    share: number,
    below: readonly string[],
  ): Promise<{ readonly value: T; readonly edges: readonly Edge[] }>
  /** Heard at each failure, at once. */
  onFailure?(name: string, error: unknown): void
  readonly signal?: AbortSignal | undefined
}

/** @returns an outcome for each name; those under way are always waited for */
export async function runSchedule<T>(
  request: ScheduleRequest<T>,
): Promise<ReadonlyMap<string, Outcome<T>>> {
  const { names, shares, jobs, atOnce, continues, build, onFailure, signal } = request
  let { edges } = request
  const outcomes = new Map<string, Outcome<T>>()
  const running = new Map<string, Promise<void>>()
  const failed = (name: string) => outcomes.get(name)?.state === 'failed'
  const stopped = () =>
    signal?.aborted === true || (!continues && [...outcomes.keys()].some(failed))

  /** What must have succeeded before: without those that wait for this very one. */
  const below = (name: string): readonly string[] =>
    names.filter(
      (one) =>
        one !== name && needsOf(name, edges).has(one) && !needsOf(one, request.edges).has(name),
    )
  const start = (name: string): void => {
    const share = shares.get(name) ?? 1
    const work = build(name, share, below(name)).then(
      (done) => {
        edges = [...edges, ...done.edges]
        outcomes.set(name, { state: 'succeeded', value: done.value })
      },
      (error: unknown) => {
        outcomes.set(name, { state: 'failed', error })
        onFailure?.(name, error)
      },
    )
    running.set(
      name,
      work.finally(() => running.delete(name)),
    )
  }
  const busy = () => [...running.keys()].reduce((sum, name) => sum + (shares.get(name) ?? 1), 0)
  const fits = (name: string) =>
    running.size === 0 || (running.size < atOnce && busy() + (shares.get(name) ?? 1) <= jobs)
  const startWhatCan = (): void => {
    for (const name of names) {
      if (stopped()) return
      if (outcomes.has(name) || running.has(name)) continue
      const needed = below(name)
      const doomed = needed.filter(failed)
      if (doomed.length > 0) outcomes.set(name, { state: 'left-out', because: doomed })
      else if (needed.every((one) => outcomes.get(one)?.state === 'succeeded') && fits(name))
        start(name)
    }
  }
  for (startWhatCan(); running.size > 0; startWhatCan()) await Promise.race(running.values())
  for (const name of names) {
    if (outcomes.has(name)) continue
    outcomes.set(name, { state: 'left-out', because: below(name).filter(failed) })
  }
  return outcomes
}
