/**
 * The engine of builds: dependencies are installed into layers with a network, then the package is
 * built above them without one. The tree below never changes, the output directory sees complete,
 * checked files, and whatever ends this process, the next run finds and removes what it left.
 */
import { rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { describeError, NspawnError, throwIfCanceled } from '../errors.ts'
import { lockImage } from '../images/lock.ts'
import { silent } from '../log.ts'
import type { BaseTree } from './base-tree.ts'
import { BuildLog } from './build-log.ts'
import { claimBuildPlace, type BuildPlace } from './build-place.ts'
import type { BuildRequest, BuildResult, Driver, DriverRun, SourceOutline } from './driver.ts'
import { BuildRecorder, type BuildRecord } from './record.ts'
import { prepareOutputDirectory, publishFiles, type ResultFile } from './results.ts'
import { BuildSession } from './session.ts'

const logName = 'build.log'
const recordName = 'build.json'

/**
 * Builds, and puts the results, `build.log` and `build.json` into the output directory. The latter two
 * are written when the build fails too.
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
  const { session, recorder } = await openSession(driver, request, base, cleanup)
  const { place, buildLog } = session
  const run = driver.begin(session)
  try {
    await carryOut(run, session, recorder)
  } catch (error) {
    // Programs that a terminal's Ctrl-C ended too have failures of their own to tell.
    throwIfCanceled(request.signal, 'the build')
    buildLog.banner(`failed: ${error instanceof Error ? error.message : String(error)}`)
    throw await withLog(error, request, place, recorder.finish(error))
  }
  const record = recorder.finish()
  const files = await publish(request, place, record, recorder.outputs)
  if (session.lock !== undefined) {
    const { leaveLock } = await import('./lock/lock-request.ts')
    await leaveLock(request, session.lock)
  }
  return {
    name: run.subject.name,
    version: run.subject.version,
    files,
    logPath: join(request.outputDirectory, logName),
    recordPath: join(request.outputDirectory, recordName),
    record,
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
  const { session } = await openSession(driver, { ...request, keep: false }, base, cleanup)
  const run = driver.begin(session)
  if (run.outline === undefined) {
    throw new NspawnError('these sources cannot be built several at once', {
      code: 'NOT_SUPPORTED',
      operation: 'read source',
      subject: driver.id,
      hint: 'build them one after the other',
    })
  }
  try {
    await run.fetch()
    return await run.outline()
  } catch (error) {
    throwIfCanceled(request.signal, 'reading the source')
    throw error
  }
}

async function takeTree<Request extends BuildRequest>(
  driver: Driver<Request>,
  { tree }: Request,
  cleanup: CleanupStack,
): Promise<BaseTree> {
  const base = await driver.describeTree(tree)
  const lock = lockImage(tree, 'shared')
  cleanup.defer(`lock of ${tree}`, () => lock.release())
  return base
}

async function openSession<Request extends BuildRequest>(
  { id }: Driver<Request>,
  request: Request,
  base: BaseTree,
  cleanup: CleanupStack,
): Promise<{ session: BuildSession<Request>; recorder: BuildRecorder }> {
  const { stateDirectory, keep = false, options, lock, log = silent } = request
  const given = lock && (await (await import('./lock/lock-request.ts')).takeLock(request, id))
  const disk = options.limits?.diskBytes
  const place = await claimBuildPlace(stateDirectory, keep, log, cleanup, disk)
  const recorder = new BuildRecorder(id, log)
  recorder.facts = {
    base,
    options,
    ...(given && { lock: { path: given.path, sha256: given.sha256 } }),
  }
  const buildLog = new BuildLog(join(place.directory, logName))
  cleanup.defer('build log', () => buildLog[Symbol.dispose]())
  const parts = { request, base, place, recorder, buildLog, cleanup }
  const session = new BuildSession({ ...parts, driver: id, lock: given })
  return { session, recorder }
}

async function carryOut(
  run: DriverRun,
  { buildLog }: BuildSession,
  recorder: BuildRecorder,
): Promise<void> {
  await recorder.phase('fetch', async () => {
    buildLog.banner('fetch the source')
    await run.fetch()
  })
  await recorder.phase('dependencies', () => run.dependencies())
  await recorder.phase('unpack', () => run.unpack())
  await recorder.phase('build', () => run.build())
  await recorder.phase('collect', async () => {
    buildLog.banner('collect results')
    const outputs = await run.collect()
    for (const { name } of outputs) refuseOddName(name)
    recorder.outputs = outputs
    for (const { name, sizeBytes, sha256 } of recorder.outputs)
      buildLog.line(`${sha256} ${sizeBytes} ${name}`)
  })
}

/** Control characters would be taken for something else wherever names are listed; the others are ours. */
function refuseOddName(name: string): void {
  // eslint-disable-next-line no-control-regex
  if (!/[\u0000-\u001f\u007f]/.test(name) && name !== logName && name !== recordName) return
  throw new NspawnError(`the build succeeded, but a result cannot have this name`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject: JSON.stringify(name),
  })
}

/** Puts results, log and record into the output directory; returns the paths of the results. */
async function publish(
  { outputDirectory, owner, signal }: BuildRequest,
  place: BuildPlace,
  record: BuildRecord,
  outputs: readonly ResultFile[],
): Promise<readonly string[]> {
  await writeFile(join(place.directory, recordName), `${JSON.stringify(record, undefined, 2)}\n`)
  const names = outputs.map(({ name }) => name)
  const sources = [
    { directory: place.directory, names: [logName, recordName] },
    { directory: place.results, names },
  ]
  await publishFiles(sources, outputDirectory, owner, signal)
  return names.map((name) => join(outputDirectory, name))
}

/** The error with the log's path, once log and record have been put into the output directory. */
async function withLog(
  error: unknown,
  request: BuildRequest,
  place: BuildPlace,
  record: BuildRecord,
): Promise<unknown> {
  const { log = silent, outputDirectory } = request
  try {
    await publish({ ...request, signal: undefined }, place, record, [])
  } catch (second) {
    // A full disk, for instance: the build's own failure is what has to be told.
    log({ kind: 'warning', text: `cannot write the log: ${describeError(second)}` })
    return error
  }
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
