/** What a build would do, found out without doing it. */
import { join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import type { BaseTree } from './base-tree.ts'
import type { BuildRequest, Driver, DriverId, DriverRun } from './driver.ts'
import { logName } from './own-names.ts'
import { notKnownYet, Rehearsal, type PlannedLayer, type PlannedStep } from './rehearsal.ts'
import { openSession, takePlace, takeTree } from './run-build.ts'

export interface BuildPlan {
  readonly driver: DriverId
  readonly base: BaseTree
  readonly name: string
  readonly version?: string | undefined
  readonly outputDirectory: string
  /** The driver's own account of its source. */
  readonly source: unknown
  readonly options: unknown
  readonly layers: readonly PlannedLayer[]
  readonly steps: readonly PlannedStep[]
  /** Where the plan ends before the build does: what is not known yet. */
  readonly openEnd?: string | undefined
}

/**
 * Fetches the source, looks which kept layers fit, and writes down the steps that the build would take. Nothing is
 * installed and nothing of the source is built; a source whose recipe is a program is asked in a container.
 *
 * @throws NspawnError with a `SOURCE_…` or `DEPENDENCY_…` code, `TIMEOUT`, `INVALID_TREE`, `EBUSY`, `CANCELED`
 */
export async function planBuild<Request extends BuildRequest>(
  driver: Driver<Request>,
  given: Request,
): Promise<BuildPlan> {
  await using cleanup = new CleanupStack()
  const request = { ...given, keep: false, shellOnFailure: false, shellBefore: false }
  const base = await takeTree(driver, request, cleanup)
  const place = await takePlace(request, cleanup)
  const log = join(place.directory, logName)
  const phases = { current: '' }
  const rehearsal = new Rehearsal(() => phases.current)
  const facts = { request, base, place, log, lock: undefined, rehearsal }
  const { session, recorder } = openSession(driver, facts, cleanup)
  const run = driver.begin(session)
  let openEnd: string | undefined
  try {
    for (const phase of ['fetch', 'dependencies', 'unpack', 'build'] as const) {
      phases.current = phase
      // Not told as phases: they would look like work that was done.
      await run[phase]()
    }
  } catch (error) {
    throwIfCanceled(request.signal, 'the plan')
    if (!(error instanceof NspawnError) || error.code !== notKnownYet) throw error
    openEnd = error.message
  }
  const { source, options } = recorder.facts
  return {
    ...describeSubject(driver.id, run, request),
    base,
    source,
    options,
    layers: rehearsal.layers,
    steps: rehearsal.steps,
    openEnd,
  }
}

function describeSubject(
  driver: DriverId,
  { subject: { name, version } }: DriverRun,
  { outputDirectory }: BuildRequest,
): Pick<BuildPlan, 'driver' | 'name' | 'version' | 'outputDirectory'> {
  return { driver, name, version, outputDirectory }
}
