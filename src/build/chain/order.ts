/** In which order sources can be built: who needs whose packages. Pure. */
import { NspawnError } from '../../errors.ts'
import type { SourceOutline } from '../driver.ts'

export type ChainSource = Pick<SourceOutline, 'name' | 'makes' | 'needs'>

/** One source cannot be built before another. */
export interface Edge {
  /** Name of the source that needs packages. */
  readonly from: string
  /** Name of the source that makes them. */
  readonly to: string
  /** What is needed, sorted. */
  readonly packages: readonly string[]
}

/**
 * Who needs whose packages. Of alternatives the first counts that any of the sources makes; what a source makes
 * itself it does not wait for.
 */
export function findEdges(sources: readonly ChainSource[]): readonly Edge[] {
  const makers = new Map<string, string[]>()
  for (const { name, makes } of sources)
    for (const one of makes) makers.set(one, [...(makers.get(one) ?? []), name])
  return sources.flatMap(({ name: from, needs }) => {
    const found = new Map<string, Set<string>>()
    for (const alternatives of needs) {
      const wanted = alternatives.find((one) => makers.has(one))
      if (wanted === undefined) continue
      for (const to of makers.get(wanted) ?? [])
        if (to !== from) found.set(to, (found.get(to) ?? new Set()).add(wanted))
    }
    return [...found].map(([to, packages]) => ({ from, to, packages: [...packages].toSorted() }))
  })
}

/** All sources that `name` needs, directly or through others; itself only when it is in a cycle. */
export function needsOf(name: string, edges: readonly Edge[]): ReadonlySet<string> {
  const found = new Set<string>()
  const pending = [name]
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    for (const { from, to } of edges) {
      if (from !== one || found.has(to)) continue
      found.add(to)
      pending.push(to)
    }
  }
  return found
}

/**
 * The shortest cycle through each knot of sources that need each other, every knot once; each edge ends where the
 * next begins.
 */
export function findCycles(edges: readonly Edge[]): readonly (readonly Edge[])[] {
  const cycles: (readonly Edge[])[] = []
  const seen = new Set<string>()
  const names = [...new Set(edges.map(({ from }) => from))]
  for (const name of names) {
    const below = needsOf(name, edges)
    if (seen.has(name) || !below.has(name)) continue
    const knot = names.filter((one) => below.has(one) && needsOf(one, edges).has(name))
    for (const one of knot) seen.add(one)
    const candidates = knot.map((one) => shortestWayBack(one, edges))
    cycles.push(candidates.reduce((best, one) => (one.length < best.length ? one : best)))
  }
  return cycles
}

/** Breadth first, from a source that is in a cycle to itself. */
function shortestWayBack(start: string, edges: readonly Edge[]): readonly Edge[] {
  const ways: (readonly Edge[])[] = edges.filter(({ from }) => from === start).map((one) => [one])
  const visited = new Set<string>()
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const end = way.at(-1)?.to ?? start
    if (end === start) return way
    if (visited.has(end)) continue
    visited.add(end)
    for (const edge of edges) if (edge.from === end) ways.push([...way, edge])
  }
  return []
}

/**
 * Refuses sources that need each other, with the packages that they need each other for.
 *
 * @throws NspawnError `DEPENDENCY_CYCLE`
 */
export function refuseCycles(edges: readonly Edge[]): void {
  const cycles = findCycles(edges)
  if (cycles.length === 0) return
  const ways = cycles.map((cycle) =>
    cycle
      .map(({ from, to, packages }) => `${from} needs ${packages.join(', ')} of ${to}`)
      .join('; '),
  )
  throw new NspawnError(`the sources need each other: ${ways.join('. Besides: ')}`, {
    code: 'DEPENDENCY_CYCLE',
    operation: 'order sources',
    subject: cycles.map((cycle) => cycle.map(({ from }) => from).join(' → ')).join(', '),
    hint: 'build one of them first so that it needs less, and give its packages with --add-package',
  })
}

/**
 * The sources in levels: each needs only such as are in levels before its own, and one of the last of these.
 *
 * @param edges without cycles
 * @returns names, in each level in the order of the sources
 */
export function levelsOf(
  names: readonly string[],
  edges: readonly Edge[],
): readonly (readonly string[])[] {
  const depths = new Map<string, number>()
  const depthOf = (name: string): number => {
    const known = depths.get(name)
    if (known !== undefined) return known
    const below = edges.filter(({ from }) => from === name).map(({ to }) => depthOf(to) + 1)
    const depth = Math.max(0, ...below)
    depths.set(name, depth)
    return depth
  }
  const levels: string[][] = []
  for (const name of names) (levels[depthOf(name)] ??= []).push(name)
  return levels
}

export interface Shares {
  /** What all builds together may do at once. */
  readonly jobs: number
  /** So many builds at most go on at the same time. */
  readonly atOnce: number
}

/**
 * What each build may do at once: its part of what there is, with those of its level that can go on beside it. It
 * does not depend on who is ready when, so that builds see the same number each time.
 */
export function sharesOf(
  levels: readonly (readonly string[])[],
  { jobs, atOnce }: Shares,
): ReadonlyMap<string, number> {
  return new Map(
    levels.flatMap((level) => {
      const share = Math.max(1, Math.floor(jobs / Math.min(level.length, atOnce)))
      return level.map((name) => [name, share] as const)
    }),
  )
}
