/**
 * Runs the tests that a Debian source brings along (DEP-8), each in a container of its own, and tells what came of them as a
 * suite does.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BuildLog } from '../../build/build-log.ts'
import { claimBuildPlace, type BuildPlace } from '../../build/build-place.ts'
import { homeDirectory } from '../../build/command/places.ts'
import { debianDriver, type DebianBuild } from '../../build/debian/driver.ts'
import type { SignaturePolicy } from '../../build/debian/dsc-signature.ts'
import type { SourceRequest } from '../../build/debian/source-argument.ts'
import type { ReadyPackages } from '../../build/driver.ts'
import type { ExtraWishes } from '../../build/installers/apt-extras.ts'
import { BuildRecorder, seconds } from '../../build/record.ts'
import { prepareOutputDirectory, publishFiles, type Owner } from '../../build/results.ts'
import { BuildSession } from '../../build/session.ts'
import { containerFacts } from '../../build/toolchain-layer.ts'
import { CleanupStack } from '../../cleanup.ts'
import { NspawnError, serializeError, throwIfCanceled } from '../../errors.ts'
import { lockImage } from '../../images/lock.ts'
import { silent, type LogSink } from '../../log.ts'
import { Slots } from '../../slots.ts'
import { ownVersion } from '../../version.ts'
import { fileName, setupLogName, type PreparedImage } from '../prepare-image.ts'
import { runCase } from '../run-case.ts'
import { describeCase } from '../run-suites.ts'
import type { CaseResult, CaseStatus, SuiteReport } from '../suite.ts'
import { caseOf, whySkipped, type Testbed } from './plan-test.ts'
import { summaryName, summaryOf } from './summary.ts'
import { DebianTestbed, noTests } from './testbed.ts'
import type { PackageTest } from './tests-control.ts'

export interface AutopkgtestRequest {
  /** Absolute path of a tree of the Debian family. */
  readonly tree: string
  /** What reports call it. */
  readonly label: string
  readonly source: SourceRequest
  readonly signature: SignaturePolicy
  /** Packages that are tested in the place of those of the archives. */
  readonly packages?: ReadyPackages | undefined
  /** Package sources and pins besides those of the tree. */
  readonly packageSources?: ExtraWishes | undefined
  /** Only tests with this in their name. */
  readonly only?: string | undefined
  /** Whether tests that say that they need the internet get the host's network. */
  readonly internet: boolean
  /** How many tests run at the same time. */
  readonly jobs: number
  /** For each test. */
  readonly timeoutMs: number
  readonly stateDirectory: string
  /** Absolute; logs and artifacts go to a directory of each test. Without it none are kept. */
  readonly outputDirectory?: string | undefined
  readonly owner?: Owner | undefined
  readonly fresh?: boolean | undefined
  readonly proxy?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/**
 * Runs the tests of a source.
 *
 * @throws NspawnError `SOURCE_…`, `DEPENDENCY_…` of the testbed itself, `INVALID_TREE`, `EBUSY`, `CANCELED`; `USAGE` for a test that there is not
 */
export async function runAutopkgtest(request: AutopkgtestRequest): Promise<SuiteReport> {
  await using cleanup = new CleanupStack()
  const { tree, signal, outputDirectory, owner, stateDirectory, log = silent } = request
  const base = await debianDriver.describeTree(tree)
  const lock = lockImage(tree, 'shared')
  cleanup.defer(`lock of ${tree}`, () => lock.release())
  if (outputDirectory !== undefined) await prepareOutputDirectory(outputDirectory, owner)
  const place = await claimBuildPlace(stateDirectory, false, log, cleanup)
  const buildLog = new BuildLog(join(place.directory, setupLogName))
  cleanup.defer('log of the testbed', () => buildLog[Symbol.dispose]())
  const session = new BuildSession<DebianBuild>({
    driver: 'debian',
    lock: undefined,
    request: buildRequest(request, place),
    base,
    place,
    recorder: new BuildRecorder('tests', log),
    buildLog,
    cleanup,
  })
  try {
    return await new TestRun(request, session).run()
  } finally {
    if (outputDirectory !== undefined && signal?.aborted !== true) {
      const files = [{ directory: place.directory, names: [setupLogName] }]
      await publishFiles(files, outputDirectory, owner, undefined)
    }
  }
}

/** The source as a build would take it. */
function buildRequest(
  { jobs: _atOnce, only: _only, internet: _internet, label: _label, ...rest }: AutopkgtestRequest,
  place: BuildPlace,
): DebianBuild {
  return {
    ...rest,
    timeoutMs: undefined,
    outputDirectory: place.results,
    options: {
      jobs: _atOnce,
      network: 'none',
      environment: {},
      scope: { any: true, all: true, source: false },
      buildOptions: [],
      profiles: [],
      packageSources: rest.packageSources,
    },
  }
}

class TestRun {
  private readonly request: AutopkgtestRequest
  private readonly session: BuildSession<DebianBuild>
  private readonly log: LogSink
  private readonly beganMs = performance.now()
  /** Layers are made one after the other. */
  private readonly making = new Slots(1)

  constructor(request: AutopkgtestRequest, session: BuildSession<DebianBuild>) {
    this.request = request
    this.session = session
    this.log = request.log ?? silent
  }

  async run(): Promise<SuiteReport> {
    const started = new Date()
    const { request, session } = this
    const testbed = await DebianTestbed.open(session)
    const { name, version } = testbed.source.control
    const suite = `${name} ${version}`
    const setupSeconds = this.now()
    const slots = new Slots(request.jobs)
    const taken = new Set([setupLogName, summaryName])
    const work = this.chosen(testbed.tests).map((test) => {
      const file = fileName(test.name, taken)
      taken.add(file)
      return slots.run(() => this.one(test, testbed, suite, file))
    })
    const ended = await Promise.allSettled(work)
    throwIfCanceled(request.signal, 'the tests')
    const cases = ended.map((one) => {
      if (one.status === 'rejected') throw one.reason
      return one.value
    })
    const counts: Record<CaseStatus, number> = { passed: 0, failed: 0, error: 0, skipped: 0 }
    for (const { status } of cases) counts[status]++
    this.tellWeakness(testbed.tests, cases)
    const { tree, label, outputDirectory, owner } = request
    if (outputDirectory !== undefined) {
      const { directory } = session.place
      await writeFile(join(directory, summaryName), summaryOf(cases, testbed.tests))
      await publishFiles([{ directory, names: [summaryName] }], outputDirectory, owner, undefined)
    }
    const log = outputDirectory === undefined ? {} : { log: join(outputDirectory, setupLogName) }
    return {
      format: 1,
      tool: { name: 'tsnspawn-build', version: ownVersion() },
      result: counts.failed > 0 ? 'failed' : counts.error > 0 ? 'error' : 'passed',
      started: started.toISOString(),
      seconds: this.now(),
      counts,
      images: [{ suite, label, tree, startedSeconds: 0, setupSeconds, ...log }],
      cases,
    }
  }

  private chosen(tests: readonly PackageTest[]): readonly PackageTest[] {
    const { only = '' } = this.request
    const chosen = tests.filter(({ name }) => name.includes(only))
    if (chosen.length > 0) return chosen
    throw new NspawnError(
      tests.length === 0 ? 'the source has no tests' : `the source has no test like ${only}`,
      {
        code: tests.length === 0 ? noTests : 'USAGE',
        operation: 'run tests',
        hint: `there are ${tests.map(({ name }) => name).join(', ') || 'none'}`,
      },
    )
  }

  private now(): number {
    return seconds(performance.now() - this.beganMs)
  }

  private async one(
    test: PackageTest,
    bed: DebianTestbed,
    suite: string,
    file: string,
  ): Promise<CaseResult> {
    const { request, log } = this
    throwIfCanceled(request.signal, 'the tests')
    const result = await this.judged(test, bed, suite, file)
    log({ kind: 'notice', text: describeCase(result) })
    return result
  }

  private async judged(
    test: PackageTest,
    bed: DebianTestbed,
    suite: string,
    file: string,
  ): Promise<CaseResult> {
    const { request, session, log } = this
    const { label, tree, internet, jobs, timeoutMs, signal, owner, outputDirectory } = request
    const facts: Testbed = {
      ...{ architecture: bed.architecture, internet, jobs, timeoutMs },
      ...{ source: bed.sourceDirectory, home: homeDirectory },
    }
    const began = performance.now()
    const unbegun = {
      ...{ suite, image: label, name: test.name, attempts: 0, seconds: 0 },
      ...{ startedSeconds: this.now(), stdout: '', stderr: '', files: [] },
    }
    const why = whySkipped(test, facts)
    if (why !== undefined) return { ...unbegun, status: 'skipped', reason: why }
    const missing = await bed.whyMissing(test)
    if (missing !== undefined) return { ...unbegun, status: 'failed', reason: missing }
    let layers: readonly string[]
    try {
      layers = await this.making.run(() => bed.layersFor(test))
    } catch (error) {
      throwIfCanceled(signal, 'the tests')
      if (!(error instanceof NspawnError)) throw error
      const lacks = error.code === 'DEPENDENCY_UNSATISFIABLE'
      const skipped = lacks && test.restrictions.includes('skip-not-installable')
      return {
        ...unbegun,
        ...(skipped ? { status: 'skipped' } : { status: 'error', error: serializeError(error)! }),
        reason: error.message,
        seconds: seconds(performance.now() - began),
      }
    }
    const { machine: _one, ...common } = containerFacts(session)
    const image: PreparedImage = { label, tree, layers, place: session.place, facts: common }
    const result = await runCase(caseOf(test, facts), {
      ...{ suite, image, fileName: file, owner, log, signal, beganMs: this.beganMs },
      output: outputDirectory === undefined ? undefined : join(outputDirectory, file),
    })
    return test.restrictions.includes('flaky') && result.status === 'failed'
      ? { ...result, status: 'skipped', reason: `flaky, and it has failed: ${result.reason ?? ''}` }
      : result
  }

  /** Where nothing but superficial tests has passed, nothing much is known. */
  private tellWeakness(tests: readonly PackageTest[], cases: readonly CaseResult[]): void {
    const passed = cases.filter(({ status }) => status === 'passed')
    const strong = passed.some(({ name }) =>
      tests.some((test) => test.name === name && !test.restrictions.includes('superficial')),
    )
    if (strong || cases.some(({ status }) => status === 'failed' || status === 'error')) return
    const text =
      passed.length === 0 ? 'no test was run' : 'only superficial tests were run; they say little'
    this.log({ kind: 'warning', text })
  }
}
