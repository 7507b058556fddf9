/** `test IMAGE... -- COMMAND` and `test SUITE.yaml...`: tests in throw-away containers, in many images at once. */
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { reviveError, usageError } from '../../errors.ts'
import { reportFormats, type ReportFormat } from '../../suites/reports/report.ts'
import { runSuites } from '../../suites/run-suites.ts'
import { plainImage, readSuiteFile } from '../../suites/suite-file.ts'
import {
  caseDefaults,
  type CaseResult,
  type Suite,
  type SuiteFile,
  type SuiteImage,
  type SuiteReport,
  type TestCase,
} from '../../suites/suite.ts'
import { testSource, type SourceTests } from '../build/autopkgtest.ts'
import { readyPackages } from '../build/ready-packages.ts'
import type { CliContext, VerbModule, VerbOptions } from '../context.ts'
import { exitClass, exitCodes } from '../exit-codes.ts'
import { collect, list, spanMs, wholeNumber } from '../option-values.ts'
import { mountDiskTrees } from '../disk-trees.ts'
import { requireRoot } from '../root.ts'
import { invokingUser, proxyVariables, variablesOf } from '../work-options.ts'

interface TestOptions {
  readonly output?: string
  readonly report?: string[]
  readonly jobs?: string
  readonly only?: string
  readonly failFast?: boolean
  readonly layers: boolean
  readonly package?: string[]
  readonly setup?: string[]
  readonly copy?: string[]
  readonly user?: string
  readonly chdir?: string
  readonly setenv?: string[]
  readonly network?: boolean
  readonly boot?: boolean
  readonly volatile?: boolean
  readonly timeout?: string
  readonly retries?: string
  readonly collect?: string[]
  readonly autopkgtest?: string
  readonly addPackage?: string[]
  readonly addRepository?: string[]
}

/** Those that say what a case is; suites say it themselves. */
const caseOptions = [
  ...['package', 'setup', 'copy', 'user', 'chdir', 'setenv', 'network', 'boot', 'volatile'],
  ...['timeout', 'retries', 'collect'],
] as const

export const define: VerbModule['define'] = (command, run) => {
  command
    .usage(
      '[options] IMAGE... -- COMMAND... | [options] [IMAGE...] SUITE.yaml... | [options] IMAGE... --autopkgtest SOURCE',
    )
    .argument(
      '<words...>',
      'images, or paths of trees with a slash, and a command after --; or suites, in place of whose images those named here are taken',
    )
    .option('-o, --output <dir>', 'where logs and the files that tests write go')
    .option(
      '--report <format=file>',
      `${Object.keys(reportFormats).join(', ')}; - is standard output; may be repeated`,
      collect,
    )
    .option('-j, --jobs <n>', 'how many run at the same time; default one for each processor')
    .option('--only <text>', 'only cases with this in their name')
    .option('--fail-fast', 'begin nothing more after the first failure')
    .option('--no-layers', 'install packages and set up anew, for this run alone')
    .optionsGroup('Of the command:')
    .option('-p, --package <names>', "installed before, by the image's own package manager", list)
    .option('--setup <line>', 'run before by the shell, as root with a network; kept', collect)
    .option('--copy <source:destination>', 'a file or directory that is copied in', collect)
    .option('-u, --user <name>', 'who runs it: root, builder (an ordinary user), or any other')
    .option('--chdir <path>', 'where it starts; default /')
    .option('-E, --setenv <NAME=VALUE>', 'a variable; may be repeated', collect)
    .option('--network', "leave it the host's network; otherwise it has a loopback interface only")
    .option('--boot', 'run it in a system that is booted for it')
    .option('--volatile', 'keep what it writes in memory')
    .option('--timeout <span>', 'end it after so long: 90, 30min, 2h; default 1h')
    .option('--retries <n>', 'try again so often after a failure')
    .option('-c, --collect <pattern>', 'absolute paths of files to take out', collect)
    .optionsGroup('Of Debian sources:')
    .option(
      '--autopkgtest <source>',
      'run the tests that a Debian source brings along (DEP-8): a .dsc by path or URL, a directory with debian/, or NAME[=VERSION] of the archive',
    )
    .option(
      '--add-package <file>',
      'a ready package that is tested in the place of that of the archives; may be repeated',
      collect,
    )
    .option('--add-repository <dir>', 'all packages in the directory; may be repeated', collect)
    .action((words: string[], options: TestOptions) =>
      run(async (context) => {
        const reports = (options.report ?? []).map((text) => readReport(text, context))
        if (options.autopkgtest !== undefined) {
          const tests = sourceTests(command, words, options)
          requireRoot('running tests')
          const report = await testSource(tests, context)
          await tell(report, reports, context)
          return statusOf(report)
        }
        const alone = sourceOptions.find((name) => options[name] !== undefined)
        if (alone !== undefined) throw usageError(`${optionName(alone)} is for --autopkgtest`)
        const suites = await suitesOf(command, words, options)
        requireRoot('running tests')
        const trees = await mountDiskTrees(suites.flatMap(namesOf), context)
        const report = await runSuites({
          suites: suites.map((suite) => inTrees(suite, trees)),
          jobs: wholeNumber(options.jobs, '--jobs') ?? availableParallelism(),
          stateDirectory: context.stateDirectory,
          machinesDirectory: context.machinesOverride,
          outputDirectory: options.output === undefined ? undefined : resolve(options.output),
          owner: invokingUser(),
          fresh: !options.layers,
          failFast: options.failFast,
          proxy: proxyVariables(),
          signal: context.signal,
          log: context.log,
        })
        await tell(report, reports, context)
        return statusOf(report)
      }, shownOf(options)),
    )
}

/** The tests of a source are few, and each may be long: what they say is shown as they say it, as of builds. */
function shownOf({ autopkgtest }: TestOptions): VerbOptions {
  return { output: autopkgtest === undefined ? 'hidden' : 'shown' }
}

const sourceOptions = ['addPackage', 'addRepository'] as const

const optionName = (name: string): string =>
  `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** Besides those that say how many at once, for how long, and where to. */
const strangeToSources = caseOptions.filter((name) => !['network', 'timeout'].includes(name))

function sourceTests(
  command: Command,
  images: readonly string[],
  options: TestOptions,
): SourceTests {
  const given = strangeToSources.find((name) => options[name] !== undefined)
  if (given !== undefined)
    throw usageError(`--${given} is for a command; the tests of a source say it themselves`)
  if (wordsAfterDashes(command) !== undefined || images.some((word) => /\.ya?ml$/.test(word)))
    throw usageError('the tests of a source are all there is to run', 'name images only')
  if (options.failFast === true) throw usageError('--fail-fast is for suites')
  return {
    images,
    source: options.autopkgtest!,
    packages: readyPackages(options),
    only: options.only,
    internet: options.network === true,
    jobs: wholeNumber(options.jobs, '--jobs') ?? availableParallelism(),
    timeoutMs: options.timeout === undefined ? undefined : spanMs(options.timeout),
    outputDirectory: options.output === undefined ? undefined : resolve(options.output),
    fresh: !options.layers,
  }
}

async function suitesOf(
  command: Command,
  words: readonly string[],
  options: TestOptions,
): Promise<readonly Suite[]> {
  const after = wordsAfterDashes(command)
  const named = after === undefined ? words : words.slice(0, words.length - after.length)
  const files = named.filter((word) => /\.ya?ml$/.test(word))
  const images = named.filter((word) => !files.includes(word))
  if (after !== undefined) {
    if (files.length > 0)
      throw usageError('a suite says its own commands', 'leave out what stands after --')
    if (images.length === 0) throw usageError('name the images to test in, before --')
    if (after.length === 0) throw usageError('there is no command after --')
    return [suiteOfCommand(images, after, options)]
  }
  if (files.length === 0) {
    throw usageError(
      'there is nothing to run',
      'write the command after --, or name a suite: a file that ends in .yaml',
    )
  }
  const given = caseOptions.find((name) => options[name] !== undefined)
  if (given !== undefined) throw usageError(`--${given} is for a command; suites say it themselves`)
  const suites = await Promise.all(files.map((file) => readSuiteFile(resolve(file))))
  refuseTwice(suites)
  return suites.map((suite) => narrowed(suite, images, options.only))
}

/** Of the images that it does not make itself. */
function namesOf({ images }: Suite): string[] {
  return images.flatMap(({ source }) => (source.kind === 'image' ? [source.name] : []))
}

/** The suite with what has been mounted of its images. */
function inTrees(suite: Suite, trees: ReadonlyMap<string, string>): Suite {
  const images = suite.images.map((image) => {
    const tree = image.source.kind === 'image' ? trees.get(image.source.name) : undefined
    return tree === undefined ? image : { ...image, source: { kind: 'image' as const, name: tree } }
  })
  return { ...suite, images }
}

/** What stands behind `--` of the whole line; undefined where there is none. */
function wordsAfterDashes(command: Command): readonly string[] | undefined {
  // The words as they came; commander leaves the dashes out of the arguments.
  const { rawArgs } = command.parent as unknown as { readonly rawArgs: readonly string[] }
  const at = rawArgs.indexOf('--')
  return at < 0 ? undefined : rawArgs.slice(at + 1)
}

function refuseTwice(suites: readonly Suite[]): void {
  const seen = new Set<string>()
  for (const { name } of suites) {
    if (seen.has(name)) throw usageError(`two suites are called ${name}`, 'give them other names')
    seen.add(name)
  }
}

/** The suite in the images that were named, and with the cases that were asked for. */
function narrowed(suite: Suite, images: readonly string[], only: string | undefined): Suite {
  const own = (name: string): SuiteImage =>
    suite.images.find(({ label }) => label === name) ?? plainImage(name, process.cwd())
  return {
    ...suite,
    images: images.length === 0 ? suite.images : distinct(images.map(own)),
    cases: suite.cases.filter(({ name }) => only === undefined || name.includes(only)),
  }
}

/** Two trees may have the same last name: then both are called by their path. */
function distinct(images: readonly SuiteImage[]): readonly SuiteImage[] {
  return images.map((image) => {
    const same = images.filter(({ label }) => label === image.label)
    return same.length > 1 && image.source.kind === 'image'
      ? { ...image, label: image.source.name }
      : image
  })
}

function suiteOfCommand(
  names: readonly string[],
  command: readonly string[],
  options: TestOptions,
): Suite {
  if (options.only !== undefined) throw usageError('--only is for suites')
  if (options.boot === true && options.volatile === true)
    throw usageError('give --boot or --volatile, not both')
  const images = distinct([...new Set(names)].map((name) => plainImage(name, process.cwd())))
  const test: TestCase = {
    ...caseDefaults,
    name: command.join(' ').replaceAll(/\s+/g, ' ').slice(0, 100),
    command,
    user: options.user ?? caseDefaults.user,
    directory: absolute(options.chdir ?? caseDefaults.directory, '--chdir'),
    environment: variablesOf(options.setenv ?? []),
    network: options.network === true ? 'host' : 'none',
    container:
      options.boot === true ? 'booted' : options.volatile === true ? 'volatile' : 'ephemeral',
    timeoutMs: options.timeout === undefined ? caseDefaults.timeoutMs : spanMs(options.timeout),
    retries: retriesOf(options.retries),
    files: (options.copy ?? []).map(readCopy),
    collect: (options.collect ?? []).map((pattern) => {
      absolute(pattern.replace(/^!/, ''), '--collect')
      return pattern
    }),
  }
  return {
    name: 'command',
    images,
    packages: options.package ?? [],
    setup: (options.setup ?? []).map((line) => ['/bin/sh', '-ec', line]),
    files: [],
    cases: [test],
  }
}

function absolute(path: string, option: string): string {
  if (path.startsWith('/')) return path
  throw usageError(`${option}=${path} is no absolute path`)
}

function retriesOf(text: string | undefined): number {
  if (text === undefined) return 0
  if (!/^\d{1,2}$/.test(text)) throw usageError(`--retries=${text} is no number of them`)
  return Number(text)
}

function readCopy(text: string): SuiteFile {
  const at = text.lastIndexOf(':')
  const [source, destination] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)]
  if (source === '' || !/^\/./.test(destination))
    throw usageError(`--copy=${text} does not say what and where to`, 'write SOURCE:/DESTINATION')
  return { source: resolve(source), destination }
}

interface WantedReport {
  readonly format: ReportFormat
  /** Absolute, or `-`. */
  readonly file: string
}

function readReport(text: string, { style }: CliContext): WantedReport {
  const [, format = '', file = ''] = /^([a-z]+)=(.+)$/.exec(text) ?? []
  if (!Object.hasOwn(reportFormats, format)) {
    const known = Object.keys(reportFormats).join(', ')
    throw usageError(`--report=${text} is no report`, `write FORMAT=FILE; there are ${known}`)
  }
  if (file === '-' && style === 'json')
    throw usageError('--json needs standard output for itself', 'give the name of a file')
  return { format: format as ReportFormat, file: file === '-' ? file : resolve(file) }
}

async function tell(
  report: SuiteReport,
  reports: readonly WantedReport[],
  context: CliContext,
): Promise<void> {
  await writeReports(reports, report, context)
  if (!reports.some(({ file }) => file === '-')) context.result(report, describe(report))
}

async function writeReports(
  reports: readonly WantedReport[],
  report: SuiteReport,
  context: CliContext,
): Promise<void> {
  for (const { format, file } of reports) {
    const text = reportFormats[format](report)
    if (file === '-') context.line(text.trimEnd())
    else await writeFile(file, text)
  }
}

const shownLines = 12

function describe(report: SuiteReport): string {
  const { counts, seconds, cases } = report
  const told = cases.filter(({ status }) => status === 'failed' || status === 'error')
  const parts = [
    `${counts.passed} passed`,
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(counts.error > 0 ? [`${counts.error} could not be run`] : []),
    ...(counts.skipped > 0 ? [`${counts.skipped} skipped`] : []),
  ]
  return [...told.map(story), `${parts.join(', ')} in ${seconds.toFixed(1)} s`].join('\n')
}

function story({ image, name, status, reason = '', stdout, stderr, log }: CaseResult): string {
  const said = `${stdout}${stderr}`.trimEnd().split('\n').slice(-shownLines)
  return [
    `${status} ${image}: ${name}: ${reason}`,
    ...said.filter((line) => line !== '').map((line) => `  | ${line}`),
    ...(log === undefined ? [] : [`  log: ${log}`]),
  ].join('\n')
}

/** Of what could not be run at all, the first one says whose fault it is. */
function statusOf({ counts, cases }: SuiteReport): number {
  if (counts.failed > 0) return exitCodes.test
  const error = cases.find((one) => one.error !== undefined)?.error
  return error === undefined ? exitCodes.success : exitCodes[exitClass(reviveError(error))]
}
