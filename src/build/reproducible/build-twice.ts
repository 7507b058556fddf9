/**
 * Builds a source twice, the second time under other circumstances, and compares the results. The first build's are
 * those that are kept; of a second one that differs all is kept beside them.
 */
import { rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { phase, silent } from '../../log.ts'
import type { Buildable } from '../buildable.ts'
import type { BuildResult, DriverId } from '../driver.ts'
import {
  differencesName,
  diffoscopeName,
  provenanceName,
  secondBuildName,
  verdictName,
} from '../own-names.ts'
import { writeOwnFile } from '../write-own-file.ts'
import { compareResults, type ResultDifference } from './compare.ts'
import {
  circumstances,
  describeVaried,
  variedJobs,
  type Circumstance,
  type Varied,
} from './variation.ts'

export interface TwiceBuilt {
  readonly first: BuildResult
  readonly second: BuildResult
  /** None when the source is reproducible. */
  readonly differences: readonly ResultDifference[]
  /** Absolute path of the account of them, when there are any. */
  readonly reportPath?: string | undefined
}

export interface TwiceWishes {
  /** What is otherwise the second time; default: everything. */
  readonly varied?: Varied
  /** Has diffoscope look at what differs. */
  readonly diffoscope?: boolean
}

/** Results that tell of the build itself. */
const accounts: Readonly<Record<DriverId, RegExp | undefined>> = {
  debian: /\.(buildinfo|changes)$/,
  arch: /\.log$/,
  rpm: /\.log$/,
  command: undefined,
}

/**
 * Builds and compares.
 *
 * @throws NspawnError as `runBuild()`
 */
export async function buildTwice(
  buildable: Buildable,
  { varied = new Set(circumstances), diffoscope = false }: TwiceWishes = {},
): Promise<TwiceBuilt> {
  const { driver, request } = buildable
  const { outputDirectory, options, owner, signal, log = silent } = request
  const first = await buildable.build()
  log({ kind: 'notice', text: 'building a second time, to compare' })
  const directory = join(outputDirectory, secondBuildName)
  const second = await buildable.build({
    outputDirectory: directory,
    jobs: varied.has('jobs') ? variedJobs(options.jobs) : options.jobs,
    lock: request.lock?.use === 'read' ? request.lock : undefined,
    varied,
  })
  const differences = await phase(log, 'compare', () =>
    compareResults(
      { directory: outputDirectory, outputs: first.record.outputs },
      { directory, outputs: second.record.outputs },
      (name) => accounts[driver]?.test(name) !== true,
      signal,
    ),
  )
  const reportPath = join(outputDirectory, differencesName)
  const verdict = verdictOn(first, second, differences, varied)
  const text = `${JSON.stringify(verdict, undefined, 2)}\n`
  await writeOwnFile(outputDirectory, verdictName, text, owner)
  if (differences.length === 0) {
    await removeBuild(directory, second)
    for (const name of [differencesName, diffoscopeName])
      await rm(join(outputDirectory, name), { force: true })
    return { first, second, differences }
  }
  const account = report(first, second, differences, varied)
  await writeOwnFile(outputDirectory, differencesName, account, owner)
  if (diffoscope) {
    const both = differences.filter(({ sha256 }) => !sha256.includes(undefined))
    const compared = {
      first: outputDirectory,
      second: directory,
      names: both.map(({ name }) => name),
    }
    const { runDiffoscope } = await import('./diffoscope.ts')
    const told = await runDiffoscope(request, compared)
    await writeOwnFile(outputDirectory, diffoscopeName, told, owner)
  }
  return { first, second, differences, reportPath }
}

/** `build.reproducible.json`: what two builds have shown, for programs. */
export interface ReproducibleVerdict {
  /** Grows when a field changes its meaning. */
  readonly format: 1
  readonly name: string
  readonly version?: string
  readonly result: 'reproducible' | 'different'
  readonly varied: readonly Circumstance[]
  /** What the history calls them. */
  readonly builds: readonly [string, string]
  /** Whether both had the same packages installed. */
  readonly samePackages: boolean
  readonly differences: readonly ResultDifference[]
}

function verdictOn(
  first: BuildResult,
  second: BuildResult,
  differences: readonly ResultDifference[],
  varied: Varied,
): ReproducibleVerdict {
  const { name, version } = first
  return {
    format: 1,
    name,
    ...(version === undefined ? {} : { version }),
    result: differences.length === 0 ? 'reproducible' : 'different',
    varied: [...varied],
    builds: [first.id, second.id],
    samePackages: samePackages(first, second),
    differences,
  }
}

function samePackages(first: BuildResult, second: BuildResult): boolean {
  const [a, b] = [first, second].map(({ record }) => JSON.stringify(record.packages ?? []))
  return a === b
}

/** The verdict on a source that is not reproducible. */
export function notReproducible({ first, differences, reportPath }: TwiceBuilt): NspawnError {
  const names = differences.map(({ name }) => name)
  const [one] = differences
  const lines = (one?.lines ?? []).slice(0, 6).map((line) => `\n  | ${line}`)
  return new NspawnError(
    `${first.name} is not reproducible: ${names.join(', ')} came out otherwise the second time`,
    {
      code: 'TEST_NOT_REPRODUCIBLE',
      operation: 'compare builds',
      subject: one?.name,
      log: reportPath,
      hint: `the second build is in ${secondBuildName}/ of the output directory: look at both with --diffoscope`,
      cause: new NspawnError(`what differs first:${lines.join('')}`, { code: 'OUTPUT' }),
    },
  )
}

function report(
  first: BuildResult,
  second: BuildResult,
  differences: readonly ResultDifference[],
  varied: Varied,
): string {
  return [
    `${first.name} ${first.version ?? ''}`.trim(),
    `the second build had: ${describeVaried(varied)}`,
    ...(samePackages(first, second) ? [] : ['the build roots had different packages']),
    ...differences.flatMap(({ name, sha256, lines }) => [
      '',
      name,
      ...sha256.map((one) => `  ${one ?? 'missing'}`),
      ...lines.map((line) => `  ${line}`),
      '',
    ]),
  ].join('\n')
}

/** Removes what the second build has left, and nothing else that may be there. */
async function removeBuild(
  directory: string,
  { files, logPath, recordPath, record }: BuildResult,
): Promise<void> {
  const own = [provenanceName, ...record.steps.map(({ log }) => log.name)]
  const paths = [...files, logPath, recordPath, ...own.map((name) => join(directory, name))]
  for (const path of paths) await rm(path, { force: true })
  const directories = new Set(paths.flatMap((path) => directoriesOf(path, directory)))
  for (const one of [...directories].toSorted((a, b) => b.length - a.length)) {
    await rmdir(one).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY') throw error
    })
  }
}

/** The directories that a path is in, up to and with `top`. */
function directoriesOf(path: string, top: string): readonly string[] {
  const parent = dirname(path)
  return parent === top ? [top] : [parent, ...directoriesOf(parent, top)]
}
