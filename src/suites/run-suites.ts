/**
 * Runs suites: images are prepared and cases run side by side, so many at once; a case begins as soon as
 * its image is ready. Whatever fails is a result; only an interruption ends everything.
 */
import { join } from 'node:path'
import type { BuildPlace } from '../build/build-place.ts'
import { seconds } from '../build/record.ts'
import { prepareOutputDirectory, publishFiles, type Owner } from '../build/results.ts'
import { CleanupStack } from '../cleanup.ts'
import { describeError, NspawnError, serializeError, throwIfCanceled } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { Slots } from '../slots.ts'
import { ownVersion } from '../version.ts'
import { findTree } from './find-image.ts'
import { fileName, prepareImage, setupLogName, type PreparedImage } from './prepare-image.ts'
import { runCase } from './run-case.ts'
import type {
  CaseResult,
  CaseStatus,
  ImageResult,
  Suite,
  SuiteImage,
  SuiteReport,
  TestCase,
} from './suite.ts'

export interface SuitesRequest {
  /** Each name once. */
  readonly suites: readonly Suite[]
  /** How many cases and set-ups run at the same time. */
  readonly jobs: number
  readonly stateDirectory: string
  /** Where images are searched for and made; undefined for the standard places. */
  readonly machinesDirectory?: string | undefined
  /** Absolute; logs and files that cases write go to a directory of each case. Without it none are kept. */
  readonly outputDirectory?: string | undefined
  /** Who results belong to; default: the user of this process. */
  readonly owner?: Owner | undefined
  /** Uses no kept layers and keeps none. */
  readonly fresh?: boolean | undefined
  /** After the first failure nothing more is begun. */
  readonly failFast?: boolean | undefined
  /** The caller's proxy variables, for set-up and for cases with a network. */
  readonly proxy?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/**
 * Runs all cases of all suites in all their images.
 *
 * @throws NspawnError `CANCELED`; `IMAGE_NOT_FOUND`, `INVALID_TREE` of an image that is named; `USAGE` when there is nothing to run, or nowhere to put files that a case has written
 */
export async function runSuites(request: SuitesRequest): Promise<SuiteReport> {
  refuseWhatCannotBe(request)
  await refuseMissingImages(request)
  return new SuitesRun(request).run()
}

/** Trees of recipes may be made later; who names an image means one that is there. */
async function refuseMissingImages(request: SuitesRequest): Promise<void> {
  const { suites, machinesDirectory, stateDirectory, log = silent, signal } = request
  const named = suites.flatMap(({ images }) =>
    images.filter(({ source }) => source.kind === 'image'),
  )
  for (const image of named)
    await findTree(image, { machinesDirectory, stateDirectory, log, signal })
}

function refuseWhatCannotBe({ suites, outputDirectory }: SuitesRequest): void {
  const usage = (message: string, hint: string) =>
    new NspawnError(message, { code: 'USAGE', operation: 'run tests', hint })
  for (const { name, images, cases } of suites) {
    if (images.length === 0)
      throw usage(`suite ${name} names no images`, 'name some, in the file or on the command line')
    if (cases.length === 0) throw usage(`suite ${name} has no case to run`, 'is --only right?')
    const collecting = cases.find(({ collect }) => collect.length > 0)
    if (collecting !== undefined && outputDirectory === undefined)
      throw usage(`case ${collecting.name} has files to take out`, 'say where to, with --output')
    const volatile = cases.find((one) => one.container === 'volatile' && one.collect.length > 0)
    if (volatile !== undefined) {
      throw usage(
        `case ${volatile.name} keeps its files in memory, where they cannot be taken out`,
        'use container: ephemeral',
      )
    }
  }
}

function outputsOf({ outputDirectory, suites }: SuitesRequest): ReadonlyMap<SuiteImage, string> {
  const outputs = new Map<SuiteImage, string>()
  if (outputDirectory === undefined) return outputs
  const takenSuites = new Set<string>()
  for (const { name, images } of suites) {
    const suite = fileName(name, takenSuites)
    takenSuites.add(suite)
    const top = suites.length > 1 ? join(outputDirectory, suite) : outputDirectory
    const taken = new Set<string>()
    for (const image of images) {
      const own = fileName(image.label, taken)
      taken.add(own)
      outputs.set(image, join(top, own))
    }
  }
  return outputs
}

/** What all of them give; waits for every one, since others still use what is released after a failure. */
async function allEnded<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const ended = await Promise.allSettled(work)
  return ended.map((one) => {
    if (one.status === 'rejected') throw one.reason
    return one.value
  })
}

class SuitesRun {
  private readonly request: SuitesRequest
  private readonly beganMs = performance.now()
  private readonly slots: Slots
  private readonly log: LogSink
  private readonly images: ImageResult[] = []
  /** Where logs and files of each image go. */
  private readonly outputs: ReadonlyMap<SuiteImage, string>
  private stopped = false

  constructor(request: SuitesRequest) {
    this.request = request
    this.slots = new Slots(request.jobs)
    this.log = request.log ?? silent
    this.outputs = outputsOf(request)
  }

  async run(): Promise<SuiteReport> {
    const started = new Date()
    await using cleanup = new CleanupStack()
    const { suites, signal, outputDirectory, owner } = this.request
    if (outputDirectory !== undefined) await prepareOutputDirectory(outputDirectory, owner)
    const work = suites.flatMap((suite) =>
      suite.images.map((image) => this.inImage(suite, image, cleanup)),
    )
    const cases = (await allEnded(work)).flat()
    throwIfCanceled(signal, 'the tests')
    const counts: Record<CaseStatus, number> = { passed: 0, failed: 0, error: 0, skipped: 0 }
    for (const { status } of cases) counts[status]++
    return {
      format: 1,
      tool: { name: 'tsnspawn-build', version: ownVersion() },
      result: counts.failed > 0 ? 'failed' : counts.error > 0 ? 'error' : 'passed',
      started: started.toISOString(),
      seconds: this.now(),
      counts,
      images: this.images,
      cases,
    }
  }

  private now(): number {
    return seconds(performance.now() - this.beganMs)
  }

  private async inImage(
    suite: Suite,
    image: SuiteImage,
    cleanup: CleanupStack,
  ): Promise<readonly CaseResult[]> {
    const mine = suite.cases.filter(({ images }) => images?.includes(image.label) ?? true)
    if (!mine.some((test) => !test.skip.has(image.label)))
      return mine.map((test) => this.leftOut(suite, image, test, test.skip.get(image.label)!))
    const output = this.outputs.get(image)
    const prepared = await this.slots.run(() => this.prepare(suite, image, output, cleanup))
    const taken = new Set([setupLogName])
    return allEnded(
      mine.map(async (test) => {
        const name = fileName(test.name, taken)
        taken.add(name)
        return this.inSlot(suite, image, test, prepared, name, output)
      }),
    )
  }

  private async inSlot(
    suite: Suite,
    image: SuiteImage,
    test: TestCase,
    prepared: PreparedImage | ImageResult,
    name: string,
    output: string | undefined,
  ): Promise<CaseResult> {
    const why = test.skip.get(image.label)
    if (why !== undefined) return this.leftOut(suite, image, test, why)
    if ('setupSeconds' in prepared) {
      const reason = `the image could not be made ready: ${prepared.error?.message ?? ''}`
      return {
        ...this.unbegun(suite, image, test),
        status: 'error',
        reason,
        error: prepared.error!,
      }
    }
    return this.slots.run(async () => {
      throwIfCanceled(this.request.signal, 'the tests')
      if (this.stopped) return this.leftOut(suite, image, test, 'another case has failed before')
      const { owner, signal, failFast } = this.request
      const result = await runCase(test, {
        suite: suite.name,
        image: prepared,
        fileName: name,
        output: output === undefined ? undefined : join(output, name),
        owner,
        beganMs: this.beganMs,
        log: this.log,
        signal,
      })
      if (failFast === true && ['failed', 'error'].includes(result.status)) this.stopped = true
      this.log({ kind: 'notice', text: describeCase(result) })
      return result
    })
  }

  /** The image, ready; or the reason why it is not. */
  private async prepare(
    suite: Suite,
    image: SuiteImage,
    output: string | undefined,
    cleanup: CleanupStack,
  ): Promise<PreparedImage | ImageResult> {
    const { request, log } = this
    const { stateDirectory, machinesDirectory, fresh = false, proxy = {}, signal, owner } = request
    const startedSeconds = this.now()
    let tree: string | undefined
    let place: BuildPlace | undefined
    let failure: NspawnError | undefined
    let prepared: PreparedImage | undefined
    try {
      tree = await findTree(image, { machinesDirectory, stateDirectory, log, signal })
      prepared = await prepareImage(
        { suite, image, tree, stateDirectory, fresh, proxy, log, signal },
        cleanup,
        (made) => (place = made),
      )
    } catch (error) {
      throwIfCanceled(signal, 'the tests')
      if (!(error instanceof NspawnError)) throw error
      failure = error
      log({ kind: 'warning', text: `${suite.name}: ${image.label}: ${describeError(error)}` })
    }
    const ready = this.now()
    const hasLog = place !== undefined && output !== undefined
    if (hasLog) {
      await prepareOutputDirectory(output, owner)
      const names = [setupLogName]
      await publishFiles([{ directory: place!.directory, names }], output, owner, signal)
    }
    const result: ImageResult = {
      suite: suite.name,
      label: image.label,
      ...(tree === undefined ? {} : { tree }),
      startedSeconds,
      setupSeconds: seconds((ready - startedSeconds) * 1000),
      ...(failure === undefined ? {} : { error: serializeError(failure)! }),
      ...(hasLog ? { log: join(output, setupLogName) } : {}),
    }
    this.images.push(result)
    return prepared ?? result
  }

  private leftOut(suite: Suite, image: SuiteImage, test: TestCase, reason: string): CaseResult {
    return { ...this.unbegun(suite, image, test), status: 'skipped', reason }
  }

  private unbegun(suite: Suite, image: SuiteImage, test: TestCase) {
    return {
      suite: suite.name,
      image: image.label,
      name: test.name,
      attempts: 0,
      startedSeconds: this.now(),
      seconds: 0,
      stdout: '',
      stderr: '',
      files: [],
    }
  }
}

/** A case in one line, for people. */
export function describeCase({
  status,
  image,
  name,
  reason,
  attempts,
  seconds: took,
}: CaseResult): string {
  const tries = attempts > 1 ? `, ${attempts} attempts` : ''
  const why = reason === undefined ? '' : `: ${reason.split('\n')[0]}`
  return `${status} ${image}: ${name} (${took.toFixed(1)} s${tries})${why}`
}
