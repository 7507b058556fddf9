/** One case in one image: a fresh container for each attempt, its output kept, its files taken out. */
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { BuildLog } from '../build/build-log.ts'
import { copyMatching } from '../build/matching-results.ts'
import {
  publishFiles,
  prepareOutputDirectory,
  ResultDirectory,
  type Owner,
} from '../build/results.ts'
import { seconds } from '../build/record.ts'
import { describeError, NspawnError, serializeError, throwIfCanceled } from '../errors.ts'
import { ephemeralMachineName } from '../images/names.ts'
import { removeTreeGently } from '../images/remove-tree.ts'
import type { LogSink } from '../log.ts'
import { runContainer } from '../runtime/client.ts'
import { initOf, runInSystem } from './booted-system.ts'
import { commandSettings, systemSettings, type CasePlace } from './case-container.ts'
import { copyFiles } from './copy-files.ts'
import { KeptOutput } from './kept-output.ts'
import type { PreparedImage } from './prepare-image.ts'
import type { CaseResult, TestCase } from './suite.ts'
import { judgeAttempt, type Attempt, type Verdict } from './verdict.ts'

export interface CaseContext {
  readonly suite: string
  readonly image: PreparedImage
  /** Unique among the cases of the image, fit for a file name. */
  readonly fileName: string
  /** Absolute; undefined keeps no logs and files. */
  readonly output: string | undefined
  readonly owner: Owner | undefined
  /** When the run began, on the clock of `performance.now()`. */
  readonly beganMs: number
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
}

const logName = 'output.log'
const filesName = 'files'
/** The name of a command is the command. */
const shownNameLength = 40

/**
 * Runs a case, again as often as it may be when it fails.
 *
 * @throws NspawnError `CANCELED`; what goes wrong with the container is a result
 */
export async function runCase(test: TestCase, context: CaseContext): Promise<CaseResult> {
  const { image, fileName, output, signal } = context
  const began = performance.now()
  const directory = join(image.place.directory, `case-${fileName}`)
  const results = join(directory, 'results')
  await mkdir(results, { recursive: true, mode: 0o755 })
  try {
    using log = new BuildLog(join(results, logName))
    let attempts = 0
    let tried: Tried
    do {
      attempts++
      tried = await attempt(test, context, { directory, log, number: attempts })
    } while (tried.verdict.status === 'failed' && attempts <= test.retries)
    const { verdict, attempt: last, error, files } = tried
    if (verdict.status !== 'passed') log.note(`${verdict.status}: ${verdict.reason}`)
    const published = await publish(context, results, files)
    return {
      suite: context.suite,
      image: image.label,
      name: test.name,
      status: error === undefined ? verdict.status : 'error',
      ...(verdict.status === 'passed' ? {} : { reason: verdict.reason }),
      ...(error === undefined ? {} : { error: serializeError(error)! }),
      attempts,
      startedSeconds: seconds(began - context.beganMs),
      seconds: seconds(performance.now() - began),
      ...(last?.status === undefined ? {} : { exitStatus: last.status }),
      stdout: last?.stdout ?? '',
      stderr: last?.stderr ?? '',
      ...(output === undefined ? {} : { log: published[0]! }),
      files: published.slice(1),
    }
  } finally {
    await removeTreeGently(directory)
    throwIfCanceled(signal, 'the tests')
  }
}

interface Tried {
  readonly verdict: Verdict
  readonly attempt?: Attempt
  /** Why it could not be run at all. */
  readonly error?: unknown
  /** Names of what was taken out. */
  readonly files: readonly string[]
}

interface AttemptPlace {
  readonly directory: string
  readonly log: BuildLog
  readonly number: number
}

async function attempt(
  test: TestCase,
  context: CaseContext,
  { directory, log, number }: AttemptPlace,
): Promise<Tried> {
  const { image, signal } = context
  const place = join(directory, String(number))
  log.banner(number === 1 ? test.name : `${test.name}, attempt ${number}`, test.command)
  try {
    const casePlace = await makeCasePlace(test, image, place, signal)
    const made = await run(test, context, casePlace, log)
    log.note(made.status === undefined ? 'the time ran out' : `exit status ${made.status}`)
    const verdict = judgeAttempt(made, test.expect, test.timeoutMs)
    const taken = await takeFiles(test, context, casePlace, join(directory, 'results', filesName))
    const missing = test.collectOptional === true ? undefined : taken.unmatched[0]
    if (verdict.status === 'passed' && missing !== undefined) {
      const reason = `it wrote no file ${missing}`
      return { verdict: { status: 'failed', reason }, attempt: made, files: taken.files }
    }
    return { verdict, attempt: made, files: taken.files }
  } catch (error) {
    throwIfCanceled(signal, 'the tests')
    if (!(error instanceof NspawnError)) throw error
    const verdict = { status: 'failed', reason: describeError(error) } as const
    // What the case itself has done wrong is no trouble of ours.
    const notFound = error.operation === 'execve' && test.container !== 'booted'
    const own = error.code === 'BUILD_RESULTS' || notFound
    return { verdict, files: [], ...(own ? {} : { error }) }
  } finally {
    await removeTreeGently(place)
  }
}

async function makeCasePlace(
  test: TestCase,
  image: PreparedImage,
  place: string,
  signal: AbortSignal | undefined,
): Promise<CasePlace> {
  const writable = { upper: join(place, 'upper'), work: join(place, 'work') }
  const files = join(place, 'files')
  for (const path of [place, writable.upper, writable.work, join(writable.work, 'test'), files]) {
    await mkdir(path)
    // The topmost layer's own directory is the root of the container: its mode must not depend on umask.
    await chmod(path, 0o755)
  }
  if (test.files.length === 0) return { layers: image.layers, writable }
  await copyFiles(test.files, { tree: image.tree, layer: files, user: test.user }, signal)
  return { layers: [...image.layers, files], writable }
}

async function run(
  test: TestCase,
  { image, log: tell, suite, signal }: CaseContext,
  place: CasePlace,
  log: BuildLog,
): Promise<Attempt> {
  const kept = { stdout: new KeptOutput(), stderr: new KeptOutput() }
  const label = `${suite}/${image.label}/${test.name.slice(0, shownNameLength)}`
  const onLine = (line: string, stream: 'stdout' | 'stderr') => {
    log.line(line)
    kept[stream].add(line)
    tell({ kind: 'output', stream, line: `${label}: ${line}` })
  }
  const facts = { ...image.facts, machine: ephemeralMachineName('test') }
  const outcome =
    test.container === 'booted'
      ? await runBooted(test, image, place, facts, onLine, log, signal)
      : await runAlone(test, place, facts, onLine, signal)
  return {
    ...outcome,
    stdout: kept.stdout.text,
    stderr: kept.stderr.text,
    cut: (['stdout', 'stderr'] as const).filter((stream) => kept[stream].isCut),
  }
}

type Outcome = Pick<Attempt, 'status' | 'signal' | 'limits'>
type OnLine = (line: string, stream: 'stdout' | 'stderr') => void
type Facts = Parameters<typeof commandSettings>[1]

async function runAlone(
  test: TestCase,
  place: CasePlace,
  facts: Facts,
  onLine: OnLine,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const { status, timedOut, ...rest } = await runContainer({
    settings: commandSettings(test, facts, place),
    stdio: 'lines',
    onLine,
    signal,
    timeoutMs: test.timeoutMs,
  })
  return { status: timedOut ? undefined : status, signal: rest.signal, limits: rest.limitHits }
}

async function runBooted(
  test: TestCase,
  image: PreparedImage,
  place: CasePlace,
  facts: Facts,
  onLine: OnLine,
  log: BuildLog,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const settings = systemSettings(test, facts, place, initOf(image.layers))
  const onConsole = (line: string) => log.line(`console: ${line}`)
  const { upper } = place.writable
  const result = await runInSystem({ settings, test, upper, onConsole, signal })
  if (result === undefined) return { status: undefined }
  for (const stream of ['stdout', 'stderr'] as const) {
    const text = result[stream].replace(/\n$/, '')
    for (const line of text === '' ? [] : text.split('\n')) onLine(line, stream)
  }
  return { status: result.status }
}

interface Taken {
  readonly files: readonly string[]
  readonly unmatched: readonly string[]
}

/** The files of the last attempt take the place of those of the one before. */
async function takeFiles(
  test: TestCase,
  { signal }: CaseContext,
  { writable }: CasePlace,
  destination: string,
): Promise<Taken> {
  if (test.collect.length === 0) return { files: [], unmatched: [] }
  await removeTreeGently(destination)
  await mkdir(destination)
  const patterns = test.collect.map((pattern) => pattern.replace(/^(!?)\//, '$1'))
  await using top = await ResultDirectory.open(writable.upper, '')
  const others = test.collectOptional === true ? 'left-out' : 'refused'
  const { files, unmatched } = await copyMatching(top, patterns, destination, signal, others)
  const names = files.map(({ name }) => name)
  // Control characters would be taken for something else wherever names are listed.
  // oxlint-disable-next-line no-control-regex -- finding them is the point
  const odd = names.find((name) => /[\u0000-\u001f\u007f]/.test(name))
  if (odd === undefined) return { files: names, unmatched: unmatched.map((one) => `/${one}`) }
  throw new NspawnError('a file that was to be taken out cannot have this name', {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject: JSON.stringify(odd),
  })
}

/** @returns absolute paths: the log, then the files */
async function publish(
  { output, owner, signal }: CaseContext,
  results: string,
  files: readonly string[],
): Promise<readonly string[]> {
  if (output === undefined) return []
  await prepareOutputDirectory(output, owner)
  const names = [logName, ...files.map((name) => `${filesName}/${name}`)]
  return publishFiles([{ directory: results, names }], output, owner, signal)
}
