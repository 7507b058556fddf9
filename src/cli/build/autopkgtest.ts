/** The tests that a Debian source brings along, for `test --autopkgtest` and after a build. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readSourceArgument, type SourceRequest } from '../../build/debian/source-argument.ts'
import type { DebianBuild } from '../../build/debian/driver.ts'
import type { BuildRequest, BuildResult, ReadyPackages } from '../../build/driver.ts'
import { NspawnError } from '../../errors.ts'
import { plainImage } from '../../suites/suite-file.ts'
import type { SuiteReport } from '../../suites/suite.ts'
import type { CliContext } from '../context.ts'
import { mountDiskTrees } from '../disk-trees.ts'
import { invokingUser, proxyVariables, treePath } from '../work-options.ts'

/** As autopkgtest(1) has it. */
const timeoutMs = 10_000_000

export interface SourceTests {
  readonly images: readonly string[]
  readonly source: string
  readonly packages: ReadyPackages
  readonly only: string | undefined
  readonly internet: boolean
  readonly jobs: number
  readonly timeoutMs: number | undefined
  readonly outputDirectory: string | undefined
  readonly fresh: boolean | undefined
}

/** Runs the tests of the source in each image, one after the other; the report has all. */
export async function testSource(
  { images, source, outputDirectory, ...rest }: SourceTests,
  context: CliContext,
): Promise<SuiteReport> {
  const { runAutopkgtest } = await import('../../suites/autopkgtest/run-autopkgtest.ts')
  const request = asItLies(readSourceArgument(source, process.cwd()))
  const mounted = await mountDiskTrees(images, context)
  const trees = images.map((name) => mounted.get(name) ?? treePath(name, context.machinesDirectory))
  const reports: SuiteReport[] = []
  const labels = images.map((name) => plainImage(name, process.cwd()).label)
  for (const [index, tree] of trees.entries()) {
    const short = labels[index]!
    // Two trees may have the same last name.
    const label = labels.indexOf(short) === labels.lastIndexOf(short) ? short : images[index]!
    const several = images.length > 1 && outputDirectory !== undefined
    const own = label.replaceAll(/[^A-Za-z0-9._+-]+/g, '-').replace(/^[-.]+|-+$/g, '')
    reports.push(
      await runAutopkgtest({
        ...rest,
        tree,
        label,
        source: request,
        signature: { keyrings: [], required: false },
        timeoutMs: rest.timeoutMs ?? timeoutMs,
        outputDirectory: several ? join(outputDirectory, own) : outputDirectory,
        stateDirectory: context.stateDirectory,
        owner: invokingUser(),
        proxy: proxyVariables(),
        signal: context.signal,
        log: context.log,
      }),
    )
  }
  return joinReports(reports)
}

/** Tests are tried out before they are committed. */
function asItLies(source: SourceRequest): SourceRequest {
  return source.kind === 'directory' && existsSync(join(source.path, '.git'))
    ? { ...source, git: { kind: 'working-tree' } }
    : source
}

function joinReports(reports: readonly SuiteReport[]): SuiteReport {
  const [first] = reports
  if (first === undefined) throw new Error('there is nothing to report')
  const sum = (status: keyof SuiteReport['counts']) =>
    reports.reduce((total, { counts }) => total + counts[status], 0)
  const counts = {
    ...{ passed: sum('passed'), failed: sum('failed') },
    ...{ error: sum('error'), skipped: sum('skipped') },
  }
  return {
    ...first,
    result: counts.failed > 0 ? 'failed' : counts.error > 0 ? 'error' : 'passed',
    seconds: reports.reduce((total, { seconds }) => total + seconds, 0),
    counts,
    images: reports.flatMap(({ images }) => images),
    cases: reports.flatMap(({ cases }) => cases),
  }
}

/**
 * Tests packages that have just been built, with the tests of their source; logs go to `autopkgtest` beside them.
 *
 * @returns undefined when the source has no tests, which is no failure of what was built
 */
export async function testBuilt(
  request: BuildRequest,
  result: Pick<BuildResult, 'files' | 'version'>,
): Promise<SuiteReport | undefined> {
  try {
    return await runTestsOf(request, result)
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'SOURCE_NO_TESTS') return undefined
    throw error
  }
}

async function runTestsOf(
  request: BuildRequest,
  { files, version }: Pick<BuildResult, 'files' | 'version'>,
): Promise<SuiteReport> {
  const { runAutopkgtest } = await import('../../suites/autopkgtest/run-autopkgtest.ts')
  const { source, signature, tree, packages, outputDirectory, options } = request as DebianBuild
  const built = files.filter((path) => path.endsWith('.deb'))
  return runAutopkgtest({
    ...{ tree, signature, timeoutMs, label: 'tests' },
    // The archives may have moved on.
    source: source.kind === 'name' ? { ...source, version } : source,
    packages: {
      files: [...(packages?.files ?? []), ...built],
      directories: packages?.directories ?? [],
    },
    packageSources: options.packageSources,
    internet: options.network === 'host',
    jobs: options.jobs,
    stateDirectory: request.stateDirectory,
    outputDirectory: join(outputDirectory, 'autopkgtest'),
    owner: request.owner,
    fresh: request.fresh,
    proxy: request.proxy,
    signal: request.signal,
    log: request.log,
  })
}

/** @throws NspawnError `TEST_FAILED` unless all tests that could be run have passed */
export function requirePassed({ counts, cases }: SuiteReport): void {
  const bad = cases.find(({ status }) => status === 'failed' || status === 'error')
  if (bad === undefined) return
  const number = counts.failed + counts.error
  const others = number > 1 ? `, and ${number - 1} more` : ''
  throw new NspawnError(`the packages were built, but test ${bad.name} has failed${others}`, {
    code: 'TEST_FAILED',
    operation: 'autopkgtest',
    subject: bad.name,
    log: bad.log,
    cause: bad.reason === undefined ? undefined : new NspawnError(bad.reason, { code: 'TEST' }),
  })
}
