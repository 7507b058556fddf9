/** `build NAME SOURCE`: finds out whose source it is, and lets that family build it. */
import { Option, type Command } from 'commander'
import { statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { Buildable } from '../../build/buildable.ts'
import type { BuildLimits, BuildResult, LockRequest } from '../../build/driver.ts'
import { circumstances } from '../../build/reproducible/variation.ts'
import type { TwiceWishes } from '../../build/reproducible/build-twice.ts'
import { recogniseSource } from '../../build/recognise.ts'
import { NspawnError, usageError } from '../../errors.ts'
import type { SuiteReport } from '../../suites/suite.ts'
import { archFamily } from '../build/arch.ts'
import { commandFamily } from '../build/command.ts'
import { debianFamily } from '../build/debian.ts'
import { rpmFamily } from '../build/rpm.ts'
import { buildSeveral, refuseChainOptions } from '../build/chain.ts'
import { planText } from '../build/plan-text.ts'
import { readyPackages } from '../build/ready-packages.ts'
import { addFamilyOptions, foreignOptions, type BuildFamily } from '../build/family.ts'
import type { Credential } from '../../settings/settings.ts'
import { parseLoadCredential } from '../../settings/values/credential.ts'
import type { CliContext, VerbModule } from '../context.ts'
import { mountDiskTrees } from '../disk-trees.ts'
import { collect, list, sizeInBytes, spanMs, wholeNumber } from '../option-values.ts'
import { seconds } from '../reporters/plain.ts'
import { requireRoot } from '../root.ts'
import { invokingUser, proxyVariables, treePath, variablesOf } from '../work-options.ts'

const families: readonly BuildFamily[] = [debianFamily, archFamily, rpmFamily, commandFamily]

interface BuildVerbOptions {
  readonly driver?: string
  readonly output: string
  readonly jobs?: string
  readonly atOnce?: string
  readonly continue?: boolean
  readonly addPackage?: string[]
  readonly addRepository?: string[]
  readonly network?: boolean
  readonly setenv?: string[]
  readonly loadCredential?: string[]
  readonly timeout?: string
  readonly silence?: string
  readonly memory?: string
  readonly tasks?: string
  readonly cpus?: string
  readonly disk?: string
  readonly keep?: boolean
  readonly layers: boolean
  readonly lock?: string
  readonly fromLock?: string
  readonly reproducible?: boolean
  readonly dontVary?: string[]
  readonly diffoscope?: boolean
  readonly ifChanged?: boolean
  readonly unusedDependencies?: boolean
  readonly autopkgtest?: boolean
  readonly shellBefore?: boolean
  readonly shellOnFailure?: boolean
  readonly dryRun?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument(
      '<name>',
      'the tree to build in: an image, or a path with a slash; it is never changed',
    )
    .argument(
      '<source...>',
      'a .dsc or .src.rpm by path or URL, a .spec, a directory with debian/, a PKGBUILD or a .spec, or NAME[=VERSION] of the archive; any directory with a command after --; several are built in the order of their build dependencies',
    )
    .addOption(
      new Option('--driver <family>', 'whose source it is, where it could be of several').choices(
        families.map(({ driver }) => driver),
      ),
    )
    .option('-o, --output <dir>', 'where results go', '.')
    .option(
      '-j, --jobs <n>',
      'how much all builds together may do at once; default one for each processor',
    )
    .option('--at-once <n>', 'of several sources, how many may be built at once; default as --jobs')
    .option('--continue', 'of several sources, build what does not need a failed one')
    .option(
      '--add-package <file>',
      'a ready package, preferred to those of the archives; may be repeated',
      collect,
    )
    .option('--add-repository <dir>', 'all packages in the directory; may be repeated', collect)
    .option(
      '--network',
      'leave the network to the build; otherwise it has a loopback interface only',
    )
    .option('-E, --setenv <NAME=VALUE>', 'a variable for the build; may be repeated', collect)
    .option(
      '--load-credential <id:path>',
      'a secret that the build finds as $CREDENTIALS_DIRECTORY/ID; may be repeated',
      collect,
    )
    .option('--timeout <span>', 'end the build after so long: 90, 30min, 2h')
    .option('--silence <span>', 'end a step that prints nothing for so long')
    .option('--memory <size>', 'what the processes of the build may use together: 4G')
    .option('--tasks <n>', 'how many processes and threads the build may have')
    .option('--cpus <n>', "processors' worth of time that the build may take: 1.5")
    .option('--disk <size>', 'what the build may write altogether: 20G')
    .option(
      '--if-changed',
      'build only what has changed since its last success in the output directory',
    )
    .option('--no-layers', 'install toolchain and dependencies anew, for this build alone')
    .option('--lock <file>', 'write down every package of the build root, with its hash')
    .option('--from-lock <file>', 'make the build root of these packages and no others, offline')
    .option('--reproducible', 'build twice under different circumstances, and compare the results')
    .option(
      '--dont-vary <names>',
      `what both builds shall have the same: ${circumstances.join(', ')}`,
      list,
    )
    .option(
      '--unused-dependencies',
      'say which of what the source asks for its build has not opened a file of',
    )
    .option(
      '--diffoscope',
      "of two builds that differ, have diffoscope of the tree's distribution tell how",
    )
    .option('--keep', 'leave the throw-away directories behind')
    .option('--shell-before', 'open a shell where the build is about to begin')
    .option('--shell-on-failure', 'open a shell where the build failed')
    .option(
      '-n, --dry-run',
      'say which layers fit and which steps would be taken, and build nothing',
    )
  addFamilyOptions(command, families)
  command.usage('[options] <name> <source...> [-- command...]')
  command.action((name: string, operands: string[], options: BuildVerbOptions) =>
    run(
      async (context) => {
        requireRoot('building')
        const shell = options.shellBefore === true ? '--shell-before' : '--shell-on-failure'
        if (
          context.style === 'json' &&
          (options.shellOnFailure === true || options.shellBefore === true)
        ) {
          throw usageError(
            `give --json or ${shell}, not both`,
            'the shell would write between the events',
          )
        }
        const words = wordsOfCommand(command)
        const given = operands.slice(0, operands.length - words.length)
        const [only, ...others] = given
        if (only === undefined) throw usageError('no source is given', 'name it before --')
        const mounted = await mountDiskTrees([name], context)
        const tree = mounted.get(name) ?? treePath(name, context.machinesDirectory)
        const read = (source: string) => {
          const family = familyOf(source, words, options.driver)
          refuseForeign(command, family, source)
          const common = commonRequest(tree, options, context)
          return family.read(common, source, words, command.opts())
        }
        refuseWithIfChanged(options)
        if (
          (options.dontVary !== undefined || options.diffoscope === true) &&
          options.reproducible !== true
        )
          throw usageError('--dont-vary and --diffoscope are for --reproducible')
        if (options.dryRun === true && (options.lock ?? options.fromLock) !== undefined)
          throw usageError('give --dry-run or a lock, not both')
        if (options.autopkgtest === true) refuseWithTests(options, others)
        if (others.length > 0) {
          const sources = given.map((source) => ({ source, buildable: read(source) }))
          const second = options.reproducible === true ? twiceWishes(options) : undefined
          return buildSeveral(sources, options, second, context)
        }
        refuseChainOptions(options)
        const buildable = read(only)
        if (options.dryRun === true) {
          const plan = await buildable.plan()
          context.result(plan, planText(plan))
          return 0
        }
        if (options.reproducible === true)
          return compareTwoBuilds(buildable, twiceWishes(options), context)
        const result = await buildable.build()
        if (options.autopkgtest !== true) {
          context.result(result, describe(result))
          return 0
        }
        const { requirePassed, testBuilt } = await import('../build/autopkgtest.ts')
        const tests = await testBuilt(buildable.request, result)
        context.result({ ...result, tests }, `${describe(result)}\n${describeTests(tests)}`)
        if (tests !== undefined) requirePassed(tests)
        return 0
      },
      { output: 'shown' },
    ),
  )
}

function describeTests(tests: SuiteReport | undefined): string {
  if (tests === undefined) return 'tests: the source has none'
  const { passed, skipped } = tests.counts
  return `tests: ${passed} passed, ${skipped} skipped`
}

function refuseWithTests(options: BuildVerbOptions, others: readonly string[]): void {
  if (others.length > 0) {
    throw usageError(
      '--autopkgtest is for one source',
      'test the results of a chain with "test IMAGE --autopkgtest SOURCE --add-repository DIR"',
    )
  }
  if (options.dryRun === true) throw usageError('give --dry-run or --autopkgtest, not both')
  if (options.reproducible === true)
    throw usageError('give --reproducible or --autopkgtest, not both')
}

function refuseWithIfChanged({
  ifChanged,
  layers,
  network,
  reproducible,
  dryRun,
  loadCredential,
}: BuildVerbOptions): void {
  if (ifChanged !== true) return
  const others = {
    '--load-credential': loadCredential !== undefined,
    '--no-layers': !layers,
    '--network': network,
    '--reproducible': reproducible,
    '--dry-run': dryRun,
  }
  const other = Object.entries(others).find(([, given]) => given === true)
  if (other !== undefined) throw usageError(`give --if-changed or ${other[0]}, not both`)
}

function twiceWishes({ dontVary = [], diffoscope = false }: BuildVerbOptions): TwiceWishes {
  const unknown = dontVary.find((name) => !circumstances.some((one) => one === name))
  if (unknown !== undefined)
    throw usageError(
      `--dont-vary=${unknown} is nothing that is varied`,
      `there are ${circumstances.join(', ')}`,
    )
  return { varied: new Set(circumstances.filter((name) => !dontVary.includes(name))), diffoscope }
}

async function compareTwoBuilds(
  buildable: Buildable,
  twice: TwiceWishes,
  context: CliContext,
): Promise<number> {
  const { buildTwice, notReproducible } = await import('../../build/reproducible/build-twice.ts')
  const built = await buildTwice(buildable, twice)
  const { first, differences } = built
  const verdict = differences.length === 0 ? 'reproducible' : 'not reproducible'
  const text = `${describe(first)}\n${verdict}: built twice`
  context.result({ ...first, verdict, differences }, text)
  if (differences.length > 0) throw notReproducible(built)
  return 0
}

/** What stands behind `--`: commander hands it out together with the sources. */
function wordsOfCommand({ parent }: Command): readonly string[] {
  const { rawArgs } = parent as Command & { readonly rawArgs: readonly string[] }
  const at = rawArgs.indexOf('--')
  return at < 0 ? [] : rawArgs.slice(at + 1)
}

function refuseForeign(command: Command, family: BuildFamily, source: string): void {
  const [foreign] = foreignOptions(command, family, families)
  if (foreign === undefined) return
  throw usageError(
    `${foreign.option} is for ${foreign.builds}, and ${source} is none of them`,
    'say whose source it is with --driver',
  )
}

function familyOf(
  source: string,
  words: readonly string[],
  asked: string | undefined,
): BuildFamily {
  const told = words.length > 0 ? ['command'] : recogniseSource(source, process.cwd())
  const candidates = asked === undefined ? told : [asked]
  const found = families.filter(({ driver }) => candidates.includes(driver))
  const [family] = found
  if (family === undefined) {
    throw new NspawnError(`nothing that can be built: ${source}`, {
      code: 'SOURCE_INVALID',
      operation: 'recognise source',
      subject: resolve(source),
      hint: `known are ${families.map(({ builds }) => builds).join(', ')}`,
    })
  }
  if (found.length > 1) {
    throw usageError(
      `${source} could be ${found.map(({ builds }) => builds).join(' or ')}`,
      `say which with --driver=${found.map(({ driver }) => driver).join('|')}`,
    )
  }
  return family
}

function commonRequest(tree: string, options: BuildVerbOptions, context: CliContext) {
  return {
    tree,
    outputDirectory: resolve(options.output),
    stateDirectory: context.stateDirectory,
    options: {
      jobs: wholeNumber(options.jobs, '--jobs') ?? availableParallelism(),
      network: options.network === true ? ('host' as const) : ('none' as const),
      environment: variablesOf(options.setenv ?? []),
      limits: limits(options),
    },
    timeoutMs: options.timeout === undefined ? undefined : spanMs(options.timeout),
    packages: readyPackages(options),
    owner: invokingUser(),
    keep: options.keep,
    fresh: !options.layers,
    lock: lockRequest(options),
    ifChanged: options.ifChanged,
    unopened: options.unusedDependencies,
    credentials: credentials(options.loadCredential ?? []),
    shellBefore: options.shellBefore,
    shellOnFailure: options.shellOnFailure,
    proxy: proxyVariables(),
    signal: context.signal,
    log: context.log,
  }
}

/** As systemd-nspawn(1) has them. They are read when the build begins, and looked for now. */
function credentials(words: readonly string[]): readonly Credential[] {
  const caller = { cwd: process.cwd(), env: process.env }
  const read = words.map((text) => parseLoadCredential(text, caller))
  const twin = read.find(({ name }, index) => read.findIndex((one) => one.name === name) < index)
  if (twin !== undefined) throw usageError(`there are two credentials "${twin.name}"`)
  for (const { name, source } of read) {
    if (source.kind === 'file' && statSync(source.path, { throwIfNoEntry: false }) === undefined)
      throw usageError(`there is no file ${source.path} for the credential "${name}"`)
  }
  return read
}

function limits({ silence, memory, tasks, cpus, disk }: BuildVerbOptions): BuildLimits {
  return {
    silenceMs: silence === undefined ? undefined : spanMs(silence),
    memoryBytes: sizeInBytes(memory, '--memory'),
    diskBytes: sizeInBytes(disk, '--disk'),
    tasks: tasks === undefined ? undefined : positive(tasks, '--tasks', /^[1-9]\d{0,6}$/),
    cpus: cpus === undefined ? undefined : positive(cpus, '--cpus', /^\d{1,4}(\.\d{1,3})?$/),
  }
}

function lockRequest({ lock, fromLock }: BuildVerbOptions): LockRequest | undefined {
  if (lock !== undefined && fromLock !== undefined)
    throw usageError('give --lock or --from-lock, not both')
  if (lock !== undefined) return { use: 'write', path: resolve(lock) }
  return fromLock === undefined ? undefined : { use: 'read', path: resolve(fromLock) }
}

function positive(text: string, option: string, shape: RegExp): number {
  const number = Number(text)
  if (!shape.test(text) || !(number > 0)) throw usageError(`${option}=${text} is no number of them`)
  return number
}

function describe(result: BuildResult): string {
  const { name, version, files, logPath, recordPath, record, unchanged } = result
  const what = version === undefined ? name : `${name} ${version}`
  return [
    unchanged === true
      ? `${what} has not changed since it was built`
      : `built ${what} in ${seconds(record.seconds * 1000)}`,
    ...[...files, logPath, recordPath].map((path) => `  ${path}`),
  ].join('\n')
}
