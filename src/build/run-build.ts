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
import { BuildLog } from './build-log.ts'
import { claimBuildPlace, type BuildPlace } from './build-place.ts'
import type { BuildRequest, BuildResult, Driver, DriverRun } from './driver.ts'
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
  const log = request.log ?? silent
  await using cleanup = new CleanupStack()
  const base = await driver.describeTree(request.tree)
  const lock = lockImage(request.tree, 'shared')
  cleanup.defer(`lock of ${request.tree}`, () => lock.release())
  for (const made of await prepareOutputDirectory(request.outputDirectory, request.owner))
    cleanup.defer(`directory ${made}`, () => removeIfEmpty(made))
  const { stateDirectory, keep = false, options } = request
  const disk = options.limits?.diskBytes
  const place = await claimBuildPlace(stateDirectory, keep, log, cleanup, disk)
  const recorder = new BuildRecorder(driver.id, log)
  recorder.facts = { base, options: request.options }
  const buildLog = new BuildLog(join(place.directory, logName))
  cleanup.defer('build log', () => buildLog[Symbol.dispose]())
  const session = new BuildSession({ request, base, place, recorder, buildLog, cleanup })
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
  return {
    name: run.subject.name,
    version: run.subject.version,
    files,
    logPath: join(request.outputDirectory, logName),
    recordPath: join(request.outputDirectory, recordName),
    record,
  }
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
