/**
 * The engine of builds: dependencies are installed into layers with a network, then the package is
 * built above them without one. The tree below never changes, the output directory sees complete,
 * checked files, and whatever ends this process, the next run finds and removes what it left.
 */
import { rmdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { describeError, NspawnError, throwIfCanceled } from '../errors.ts'
import { hashFile } from '../hash-file.ts'
import { lockImage } from '../images/lock.ts'
import { ephemeralMachineName } from '../images/names.ts'
import { silent } from '../log.ts'
import type { BaseTree } from './base-tree.ts'
import { BuildLog } from './build-log.ts'
import { claimBuildPlace, type BuildPlace } from './build-place.ts'
import type { BuildRequest, BuildResult, Driver, DriverRun, SourceOutline } from './driver.ts'
import { HistoryEntry, logOf } from './history.ts'
import type { Installer } from './installers/installer.ts'
import type { GivenLock } from './lock/lock-file.ts'
import { isOddName, logName, provenanceName, recordName } from './own-names.ts'
import { provenanceOf } from './provenance.ts'
import type { Rehearsal } from './rehearsal.ts'
import { BuildRecorder, type BuildRecord } from './record.ts'
import { removeOldStepLogs, writeStepLogs } from './step-logs.ts'
import { prepareOutputDirectory, publishFiles, type ResultFile } from './results.ts'
import { BuildSession } from './session.ts'
import { findUnchanged } from './unchanged.ts'

/**
 * Builds, and puts the results, `build.log` and `build.json` into the output directory. The latter two
 * are written when the build fails too. Log and record of every build stay in the history.
 *
 * @throws NspawnError with a `SOURCE_…`, `DEPENDENCY_…` or `BUILD_…` code, `TIMEOUT`, `INVALID_TREE`,
 *   `INVALID_OUTPUT`, `EBUSY` (the tree is being changed), `CANCELED`
 */
export async function runBuild<Request extends BuildRequest>(
  driver: Driver<Request>,
  request: Request,
): Promise<BuildResult> {
  await using cleanup = new CleanupStack()
  const base = await takeTree(driver, request, cleanup)
  for (const made of await prepareOutputDirectory(request.outputDirectory, request.owner))
    cleanup.defer(`directory ${made}`, () => removeIfEmpty(made))
  const { session, recorder, entry } = await openRecorded(driver, request, base, cleanup)
  const { place, buildLog } = session
  const run = driver.begin(session)
  const end = async (record: BuildRecord) => endEntry(entry, record, request)
  let verdict: unknown
  let earlier: BuildRecord | undefined
  try {
    earlier = await carryOut(run, session, {
      recorder,
      entry,
      installer: driver.installerOf(request.tree),
    })
    if (earlier === undefined) verdict = await inspect(run, session, recorder)
  } catch (error) {
    if (request.signal?.aborted === true) await end(recorder.finish(error, true))
    // Programs that a terminal's Ctrl-C ended too have failures of their own to tell.
    throwIfCanceled(request.signal, 'the build')
    buildLog.banner(`failed: ${error instanceof Error ? error.message : String(error)}`)
    const record = recorder.finish(error)
    await end(record)
    throw await withLog(error, { request, place, entry }, record)
  }
  if (earlier !== undefined) {
    recorder.outputs = earlier.outputs
    await keepLock(session)
    await end(recorder.finish())
    return { ...resultOf(request, run, entry, earlier), unchanged: true }
  }
  const record = recorder.finish(verdict)
  try {
    await publish({ request, place, entry }, record, recorder.outputs, session.reports)
    await keepLock(session)
    await end(record)
  } catch (error) {
    await end(recorder.finish(error, request.signal?.aborted === true))
    throw error
  }
  if (verdict !== undefined) throw namingLog(verdict, request)
  return resultOf(request, run, entry, record)
}

async function keepLock({ lock, request }: BuildSession): Promise<void> {
  if (lock === undefined) return
  const { leaveLock } = await import('./lock/lock-request.ts')
  await leaveLock(request, lock)
}

/** Has the results looked at, which stay whatever is found; returns what is wrong with them. */
async function inspect(
  run: DriverRun,
  session: BuildSession,
  recorder: BuildRecorder,
): Promise<unknown> {
  const { inspect: look } = run
  if (look === undefined) return undefined
  try {
    await recorder.phase('inspect', look)
    return undefined
  } catch (error) {
    throwIfCanceled(session.signal, 'the build')
    session.buildLog.banner(`failed: ${error instanceof Error ? error.message : String(error)}`)
    return error
  }
}

function resultOf(
  { outputDirectory }: BuildRequest,
  { subject: { name, version } }: DriverRun,
  { id }: HistoryEntry,
  record: BuildRecord,
): BuildResult {
  return {
    ...{ id, name, version, record },
    files: record.outputs.map((one) => join(outputDirectory, one.name)),
    logPath: join(outputDirectory, logName),
    recordPath: join(outputDirectory, recordName),
  }
}

/**
 * Finds out what a source makes and needs, and builds nothing. Layers that this takes are kept for the build.
 *
 * @throws NspawnError with a `SOURCE_…` or `DEPENDENCY_…` code, `TIMEOUT`, `INVALID_TREE`, `EBUSY`, `CANCELED`
 */
export async function outlineSource<Request extends BuildRequest>(
  driver: Driver<Request>,
  request: Request,
): Promise<SourceOutline> {
  await using cleanup = new CleanupStack()
  const base = await takeTree(driver, request, cleanup)
  const unkept = { ...request, keep: false }
  const lock = await givenLock(request)
  const place = await takePlace(unkept, cleanup)
  const log = join(place.directory, logName)
  const { session } = openSession(driver, { request: unkept, base, place, log, lock }, cleanup)
  const run = driver.begin(session)
  try {
    return await run.outline()
  } catch (error) {
    throwIfCanceled(request.signal, 'reading the source')
    throw error
  }
}

/** Describes the tree of a build, and locks it shared until the clean-up. */
export async function takeTree<Request extends BuildRequest>(
  driver: Driver<Request>,
  { tree }: Request,
  cleanup: CleanupStack,
): Promise<BaseTree> {
  const base = await driver.describeTree(tree)
  const lock = lockImage(tree, 'shared')
  cleanup.defer(`lock of ${tree}`, () => lock.release())
  return base
}

/** The directories of a build, gone with the clean-up. */
export async function takePlace(request: BuildRequest, cleanup: CleanupStack): Promise<BuildPlace> {
  const { stateDirectory, keep = false, options, log = silent } = request
  return claimBuildPlace(stateDirectory, keep, log, cleanup, options.limits?.diskBytes)
}

interface SessionFacts<Request extends BuildRequest> {
  readonly request: Request
  readonly base: BaseTree
  readonly place: BuildPlace
  /** Path of the log; nothing is there. */
  readonly log: string
  readonly lock: GivenLock | undefined
  readonly machine?: string
  readonly rehearsal?: Rehearsal
}

async function givenLock(request: BuildRequest): Promise<GivenLock | undefined> {
  if (request.lock === undefined) return undefined
  return (await import('./lock/lock-request.ts')).takeLock(request)
}

/** A session with its log and recorder. */
export function openSession<Request extends BuildRequest>(
  { id, buildPath }: Driver<Request>,
  { request, base, place, log, lock, machine, rehearsal }: SessionFacts<Request>,
  cleanup: CleanupStack,
): { session: BuildSession<Request>; recorder: BuildRecorder } {
  const recorder = new BuildRecorder(id, request.log ?? silent)
  recorder.facts = {
    base,
    options: request.options,
    ...(lock && { lock: { path: lock.path, sha256: lock.sha256 } }),
  }
  const buildLog = new BuildLog(log)
  cleanup.defer('build log', () => buildLog[Symbol.dispose]())
  const parts = { request, base, place, recorder, buildLog, cleanup, machine, rehearsal }
  const session = new BuildSession({ ...parts, driver: id, buildPath, lock })
  return { session, recorder }
}

/** A session that the history knows. */
async function openRecorded<Request extends BuildRequest>(
  driver: Driver<Request>,
  request: Request,
  base: BaseTree,
  cleanup: CleanupStack,
) {
  const lock = await givenLock(request)
  const place = await takePlace(request, cleanup)
  const { tree, outputDirectory, stateDirectory } = request
  const machine = ephemeralMachineName('build')
  const beginning = { driver: driver.id, tree, outputDirectory, machine }
  const entry = await HistoryEntry.begin(stateDirectory, beginning)
  const facts = { request, base, place, lock, machine, log: logOf(entry) }
  return { ...openSession(driver, facts, cleanup), entry }
}

/** That the history cannot be written is no reason to lose a build. */
async function endEntry(
  entry: HistoryEntry,
  record: BuildRecord,
  { log = silent }: BuildRequest,
): Promise<void> {
  try {
    await entry.finish(record)
  } catch (error) {
    log({ kind: 'warning', text: `cannot write the history: ${describeError(error)}` })
  }
}

interface Engine {
  readonly recorder: BuildRecorder
  readonly entry: HistoryEntry
  readonly installer: Installer | undefined
}

/** @returns the record of an earlier build when there is nothing to be done */
async function carryOut(
  run: DriverRun,
  session: BuildSession,
  { recorder, entry, installer }: Engine,
): Promise<BuildRecord | undefined> {
  const { buildLog, request, signal } = session
  await recorder.phase('fetch', async () => {
    buildLog.banner('fetch the source')
    await run.fetch()
  })
  await entry.name(run.subject)
  await recorder.phase('dependencies', () => run.dependencies())
  // Some sources say it only when they are asked in a container.
  await entry.name(run.subject)
  if (request.ifChanged === true) {
    const inputs = { driver: session.driver, ...recorder.facts }
    const earlier = await findUnchanged(request.outputDirectory, inputs, signal)
    if (earlier !== undefined) {
      session.log({ kind: 'notice', text: 'nothing has changed since it was built' })
      return earlier
    }
  }
  await session.vary()
  await recorder.phase('unpack', () => run.unpack())
  await recorder.phase('build', () => run.build())
  await session.unvary()
  if (request.unopened === true) await lookAtOpened(run, session, installer)
  await recorder.phase('collect', async () => {
    buildLog.banner('collect results')
    const outputs = await run.collect()
    for (const { name } of outputs) refuseOddName(name)
    await entry.name(run.subject)
    recorder.outputs = outputs
    for (const { name, sizeBytes, sha256 } of recorder.outputs)
      buildLog.line(`${sha256} ${sizeBytes} ${name}`)
  })
  return undefined
}

async function lookAtOpened(
  run: DriverRun,
  session: BuildSession,
  installer: Installer | undefined,
): Promise<void> {
  const { reportUnopened } = await import('./unopened/report-unopened.ts')
  await reportUnopened(session, installer, run.subject, await run.ground())
}

function refuseOddName(name: string): void {
  if (!isOddName(name)) return
  throw new NspawnError(`the build succeeded, but a result cannot have this name`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject: JSON.stringify(name),
  })
}

interface Finished {
  readonly request: BuildRequest
  readonly place: BuildPlace
  readonly entry: HistoryEntry
}

/** Puts results, log and record into the output directory. */
async function publish(
  { request: { outputDirectory, owner, signal }, place, entry }: Finished,
  record: BuildRecord,
  outputs: readonly ResultFile[],
  reports: readonly string[] = [],
): Promise<void> {
  await writeFile(join(place.directory, recordName), `${JSON.stringify(record, undefined, 2)}\n`)
  const names = outputs.map(({ name }) => name)
  const logs = await writeStepLogs(logOf(entry), record.steps, place.directory)
  // Where there is no result there is nothing to state about.
  const statement = outputs.length === 0 ? [] : [provenanceName]
  if (outputs.length > 0) await writeProvenance(record, place, entry)
  const sources = [
    { directory: entry.directory, names: [logName] },
    { directory: place.directory, names: [recordName, ...statement, ...logs, ...reports] },
    { directory: place.results, names },
  ]
  await publishFiles(sources, outputDirectory, owner, signal)
  await removeOldStepLogs(outputDirectory, logs)
}

async function writeProvenance(
  record: BuildRecord,
  { directory }: BuildPlace,
  entry: HistoryEntry,
): Promise<void> {
  const paths = [logOf(entry), join(directory, recordName)]
  const byproducts = await Promise.all(
    paths.map(async (path) => ({
      name: basename(path),
      digest: { sha256: await hashFile(path) },
    })),
  )
  const statement = provenanceOf(record, entry.id, byproducts)
  await writeFile(join(directory, provenanceName), `${JSON.stringify(statement, undefined, 2)}\n`)
}

/** The error with the log's path, once log and record have been put into the output directory. */
async function withLog(error: unknown, finished: Finished, record: BuildRecord): Promise<unknown> {
  const { request } = finished
  const { log = silent } = request
  try {
    await publish({ ...finished, request: { ...request, signal: undefined } }, record, [])
  } catch (second) {
    // A full disk, for instance: the build's own failure is what has to be told.
    log({ kind: 'warning', text: `cannot write the log: ${describeError(second)}` })
    return error
  }
  return namingLog(error, request)
}

function namingLog(error: unknown, { outputDirectory }: BuildRequest): unknown {
  if (!(error instanceof NspawnError)) return error
  const { code, operation, subject, status, hint, cause } = error
  return new NspawnError(error.message, {
    code,
    operation,
    subject,
    status,
    hint,
    cause,
    log: join(outputDirectory, logName),
  })
}

async function removeIfEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error
  }
}
