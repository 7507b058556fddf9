/**
 * Builds several sources above one tree, each with the packages at hand that it needs of the others. What a build
 * sees depends on the sources alone, never on who happens to be ready.
 */
import { basename, join } from 'node:path'
import { describeError, NspawnError, serializeError, throwIfCanceled } from '../../errors.ts'
import { phase, silent, type LogSink } from '../../log.ts'
import { ownVersion } from '../../version.ts'
import type { Buildable } from '../buildable.ts'
import type { BuildResult, SourceOutline } from '../driver.ts'
import { seconds } from '../record.ts'
import { buildTwice, type TwiceWishes } from '../reproducible/build-twice.ts'
import { prepareOutputDirectory, type Owner } from '../results.ts'
import { findEdges, levelsOf, needsOf, refuseCycles, sharesOf, type Edge } from './order.ts'
import { writeChainRecord, type ChainBuild, type ChainRecord } from './record.ts'
import { runSchedule, type Outcome } from './schedule.ts'

export interface ChainSource {
  /** As somebody gave it, for messages. */
  readonly source: string
  readonly buildable: Buildable
}

export interface ChainRequest {
  /** Two or more, above the same tree. */
  readonly sources: readonly ChainSource[]
  /** Absolute; each source gets a directory of its name in it. */
  readonly outputDirectory: string
  /** What all builds together may do at once. */
  readonly jobs: number
  /** So many builds at most go on at the same time. */
  readonly atOnce: number
  /** After a failure goes on with what does not need the failed one; otherwise only what is under way ends. */
  readonly continues: boolean
  /** Builds each source twice, and compares. */
  readonly twice?: TwiceWishes | undefined
  readonly owner?: Owner | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface ChainResult {
  readonly record: ChainRecord
  /** Absolute. */
  readonly recordPath: string
  /** Those that failed, in the order in which they were given. */
  readonly failures: readonly { readonly name: string; readonly error: unknown }[]
  /** Names of those that were built twice and came out otherwise. */
  readonly different: readonly string[]
}

interface Known extends ChainSource {
  readonly outline: SourceOutline
}

/** What is remembered of a build beside its outcome. */
interface Beginning {
  readonly started: Date
  readonly given: readonly string[]
  readonly milliseconds?: number
}

/**
 * Builds; that some of the sources fail is a result.
 *
 * @throws NspawnError `DEPENDENCY_CYCLE`, `INVALID_CHAIN` when two sources have one name, `INVALID_OUTPUT`,
 *   `CANCELED`; as `outlineSource()`
 */
export async function buildChain(request: ChainRequest): Promise<ChainResult> {
  const { outputDirectory, jobs, atOnce, continues, owner, signal, log = silent } = request
  const began = new Date()
  const { sources, names, edges, levels, shares } = await putInOrder(request)
  log({ kind: 'notice', text: `order: ${levels.map((level) => level.join(', ')).join(' → ')}` })
  await prepareOutputDirectory(outputDirectory, owner)
  const byName = new Map(sources.map((source) => [source.outline.name, source]))
  const results = new Map<string, BuildResult>()
  const beginnings = new Map<string, Beginning>()
  const different = new Set<string>()
  /** Of those that were built: what their packages need. */
  const later: Edge[] = []
  const outcomes = await runSchedule<BuildResult>({
    ...{ names, edges, shares, jobs, atOnce, continues, signal },
    build: async (name, share, given) => {
      const source = byName.get(name)
      if (source === undefined) throw new Error(`nobody has asked for ${name}`)
      const beginning: Beginning = { started: new Date(), given }
      beginnings.set(name, beginning)
      const clock = performance.now()
      try {
        const ready = given.flatMap((one) => results.get(one)?.files ?? [])
        const { value, same } = await buildOne(request, source, share, ready)
        if (!same) different.add(name)
        results.set(name, value)
        const found = await edgesOfPackages(source, sources, value)
        later.push(...found)
        return { value, edges: found }
      } finally {
        beginnings.set(name, { ...beginning, milliseconds: performance.now() - clock })
      }
    },
    onFailure: (name, error) => {
      if (signal?.aborted !== true) tellFailure(name, error, log)
    },
  })
  const finished = new Date()
  const failures = [...outcomes].flatMap(([name, outcome]) =>
    outcome.state === 'failed' ? [{ name, error: outcome.error }] : [],
  )
  const [first] = sources
  if (first === undefined) throw new Error('a chain has no sources')
  const record: ChainRecord = {
    format: 1,
    tool: { name: 'tsnspawn-build', version: ownVersion() },
    driver: first.buildable.driver,
    tree: first.buildable.request.tree,
    result: signal?.aborted === true ? 'canceled' : failures.length === 0 ? 'succeeded' : 'failed',
    started: began.toISOString(),
    finished: finished.toISOString(),
    seconds: seconds(finished.getTime() - began.getTime()),
    jobs,
    atOnce,
    levels,
    builds: sources.map((source) => {
      const { name } = source.outline
      const reproducible = request.twice === undefined ? undefined : !different.has(name)
      const facts = { edges, later, share: shares.get(name) ?? 1, reproducible }
      return describeBuild(source, outcomes.get(name), beginnings.get(name), facts)
    }),
  }
  // What was built before a chain was given up stays, and the record says what it is.
  if (results.size === 0) throwIfCanceled(signal, 'the chain')
  const recordPath = await writeChainRecord(record, outputDirectory, owner)
  throwIfCanceled(signal, 'the chain')
  return { record, recordPath, failures, different: names.filter((one) => different.has(one)) }
}

interface Order {
  readonly sources: readonly Known[]
  readonly names: readonly string[]
  readonly edges: readonly Edge[]
  readonly levels: readonly (readonly string[])[]
  readonly shares: ReadonlyMap<string, number>
}

async function putInOrder(request: ChainRequest): Promise<Order> {
  const { jobs, atOnce, log = silent } = request
  const sources = await phase(log, 'order', async () => outlineAll(request))
  const names = sources.map(({ outline }) => outline.name)
  const edges = findEdges(sources.map(({ outline }) => outline))
  refuseCycles(edges)
  const levels = levelsOf(names, edges)
  return { sources, names, edges, levels, shares: sharesOf(levels, { jobs, atOnce }) }
}

/** What `buildChain()` would do, as far as it can be known before. */
export interface ChainPlan {
  /** As in a `ChainRecord`. */
  readonly levels: readonly (readonly string[])[]
  readonly builds: readonly Pick<
    ChainBuild,
    'name' | 'version' | 'source' | 'needs' | 'given' | 'jobs'
  >[]
}

/**
 * Puts the sources in order, and builds nothing.
 *
 * @throws NspawnError as `buildChain()`
 */
export async function planChain(request: ChainRequest): Promise<ChainPlan> {
  const { sources, names, edges, levels, shares } = await putInOrder(request)
  const builds = sources.map(({ source, outline: { name, version } }) => {
    const needed = needsOf(name, edges)
    return {
      ...{ name, version, source },
      needs: edgesFrom(name, edges),
      given: names.filter((one) => needed.has(one)),
      jobs: shares.get(name) ?? 1,
    }
  })
  return { levels, builds }
}

async function outlineAll({ sources, signal, log = silent }: ChainRequest): Promise<Known[]> {
  const known: Known[] = []
  // One after the other: the first may make the layer that the others want.
  for (const one of sources) {
    const outline = await one.buildable.outline({ signal, log: sinkFor(one.source, log) })
    const twin = known.find(({ outline: { name } }) => name === outline.name)
    if (twin !== undefined) {
      throw new NspawnError(`${twin.source} and ${one.source} are both called ${outline.name}`, {
        code: 'INVALID_CHAIN',
        operation: 'order sources',
        subject: outline.name,
        hint: 'build them one after the other, into directories of their own',
      })
    }
    known.push({ ...one, outline })
  }
  return known
}

async function buildOne(
  { outputDirectory, twice, signal, log = silent }: ChainRequest,
  { buildable, outline: { name } }: Known,
  jobs: number,
  results: readonly string[],
): Promise<{ readonly value: BuildResult; readonly same: boolean }> {
  const { packages = { files: [], directories: [] } } = buildable.request
  const { packages: format } = buildable
  const made = results.filter((path) => format?.isPackage(basename(path)) === true)
  const one = buildable.with({
    outputDirectory: join(outputDirectory, name),
    packages: { ...packages, files: [...packages.files, ...made] },
    jobs,
    signal,
    log: sinkFor(name, log),
  })
  if (twice === undefined) return { value: await one.build(), same: true }
  const { first, differences } = await buildTwice(one, twice)
  return { value: first, same: differences.length === 0 }
}

/** What else has to be there for those who install these packages: packages of other sources. */
async function edgesOfPackages(
  { buildable, outline }: Known,
  sources: readonly Known[],
  { files }: BuildResult,
): Promise<readonly Edge[]> {
  const { packages: format } = buildable
  if (format === undefined) return []
  const needs: (readonly string[])[] = []
  for (const path of files.filter((one) => format.isPackage(basename(one))))
    needs.push(...(await format.describe(path, undefined)).requires)
  const others = sources.map((one) => ({ ...one.outline, needs: [] }))
  return findEdges(others.map((one) => (one.name === outline.name ? { ...one, needs } : one)))
}

function tellFailure(build: string, error: unknown, log: LogSink): void {
  log({ kind: 'warning', text: describeError(error), build })
}

interface BuildFacts {
  readonly edges: readonly Edge[]
  /** What packages that were built need where they are installed. */
  readonly later: readonly Edge[]
  readonly share: number
  /** Absent unless it was built twice. */
  readonly reproducible: boolean | undefined
}

function describeBuild(
  { source, outline: { name, version } }: Known,
  outcome: Outcome<BuildResult> | undefined,
  beginning: Beginning | undefined,
  { edges, later, share, reproducible }: BuildFacts,
): ChainBuild {
  const common = {
    ...{ name, version, source },
    needs: edgesFrom(name, edges),
    depends: edgesFrom(name, later),
    jobs: share,
  }
  if (outcome === undefined || outcome.state === 'left-out' || beginning === undefined) {
    const because = outcome?.state === 'left-out' ? outcome.because : []
    return { ...common, result: 'left-out', given: [...needsOf(name, edges)], because }
  }
  const { started, given, milliseconds = 0 } = beginning
  const facts = {
    ...common,
    given,
    directory: name,
    started: started.toISOString(),
    seconds: seconds(milliseconds),
  }
  if (outcome.state === 'succeeded')
    return {
      ...facts,
      id: outcome.value.id,
      result: 'succeeded',
      ...(outcome.value.unchanged === true ? { unchanged: true } : {}),
      ...(reproducible === undefined ? {} : { reproducible }),
      outputs: outcome.value.record.outputs,
    }
  const { code = 'BUG' } = serializeError(outcome.error) ?? {}
  return { ...facts, result: 'failed', failure: { code, message: describeError(outcome.error) } }
}

function edgesFrom(name: string, edges: readonly Edge[]): ChainBuild['needs'] {
  return edges
    .filter(({ from }) => from === name)
    .map(({ to, packages }) => ({ name: to, packages }))
}

function sinkFor(build: string, log: LogSink): LogSink {
  return (event) => log({ ...event, build })
}
