/** zypper, that fills a tree from outside: the scripts of packages run in the tree, all else on the host. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import type { LogEvent } from '../../log.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import { scriptsFailed } from '../failed-scripts.ts'
import type { TreePlan } from '../plan.ts'
import { handOverDatabase, writableFormat } from '../rpm/database-format.ts'
import { makeRpmHome } from '../rpm/home.ts'
import { rpmKeyObstacle, writeRpmKeys } from '../rpm/keys.ts'
import { notInRepositories } from '../rpm/package-names.ts'
import { privateRepoFile } from '../rpm/repo-file.ts'
import { scriptletWatch } from '../rpm/scriptlets.ts'
import type { Strategy, StrategyPaths, StrategyRun } from '../strategy.ts'
import type { ToolOptions } from '../tools.ts'
import { TreeFiles } from '../tree-files.ts'
import { diagnoseZypper, mayPass } from './zypper-failures.ts'

export const zypper: Strategy<RpmArchive> = {
  id: 'zypper',
  updates: 'included',
  programs: ['zypper', 'rpm'],
  toolPackages: ['zypper', 'rpm'],
  abilities: ['offline'],

  obstacle(draft, host) {
    for (const program of ['zypper', 'rpm']) {
      if (host.findProgram(program) === undefined)
        return { reason: `${program} is not installed`, hint: `install the package ${program}` }
    }
    if (draft.archive.database.format === 'bdb') {
      return {
        reason: `the rpm of ${draft.recipe} ${draft.release} reads only Berkeley DB, which no present rpm writes`,
        hint: 'take a newer release, or fetch an image with pull-tar',
      }
    }
    return rpmKeyObstacle(draft, host)
  },

  async fill(plan, run) {
    const { paths, tools } = run
    const places = zypperPlaces(paths)
    const format = await writableFormat(plan, run)
    const environment = {
      ...makeRpmHome(join(paths.temporary, 'home'), plan, format),
      ZYPP_CONF: places.configuration,
      ZYPP_LOGFILE: places.log,
    }
    const options: ToolOptions = {
      environment,
      apiFileSystems: 'mounted',
      emulated: plan.execution === 'emulated',
    }
    mkdirSync(places.repositories)
    for (const repository of plan.archive.repositories) {
      const path = join(places.repositories, `${repository.id}.repo`)
      writeFileSync(path, privateRepoFile(repository, plan))
    }
    writeFileSync(places.configuration, zyppConfiguration(plan))
    const keys = await writeRpmKeys(plan, { hasFile: existsSync }, join(paths.temporary, 'keys'))
    // What is in the database of the new tree is trusted, and nothing else is ever taken in.
    if (keys.length > 0)
      await tools.run(['rpm', '--root', paths.tree, '--import', ...keys], options)
    if (plan.network === 'allowed') await refresh(plan, run, options)
    if (plan.exclude.length > 0) writeLocks(plan.exclude, paths.tree)
    const scripts = scriptletWatch(readZypperLine)
    const { status } = await install(plan, run, { ...options, readLine: scripts.readLine })
    if (plan.exclude.length > 0) new TreeFiles(paths.tree).remove(locksFile)
    if (status === scriptFailed || scripts.failed.length > 0) {
      throw scriptsFailed('cannot make a tree with zypper', scripts.failed, {
        verb: 'create',
        operation: 'zypper',
        status,
        log: run.log,
      })
    }
    await handOverDatabase(plan, run, format, environment)
  },

  readLine: readZypperLine,
  diagnose: diagnoseZypper,
}

/** zypper(8), "EXIT CODES": no package provides what was asked for. */
const notFound = 104

/** The same: a script failed after its package was installed. */
const scriptFailed = 107

/** All packages are in the database then; 102 and 103 ask for a restart, which means nothing to a tree. */
const installed = [0, 102, 103, scriptFailed]

/** Seconds before an index is asked for again: the redirector now and then leads to mirrors that fail. */
const pauses = [2, 5, 10, 20] as const

async function refresh(
  plan: TreePlan<RpmArchive>,
  { tools, paths, log, context }: StrategyRun,
  options: ToolOptions,
): Promise<void> {
  const hosts = plan.archive.repositories.map(({ source }) => hostOf(source.url))
  for (const pause of [...pauses, undefined]) {
    try {
      await tools.run(zypperCommand(plan, paths, 'refresh'), options)
      return
    } catch (error) {
      const again = error instanceof NspawnError && mayPass(sinceCommand(log.lines), hosts)
      if (pause === undefined || !again) throw error
    }
    context.log({
      kind: 'warning',
      text: `the mirror failed; it is asked again in ${pause} seconds`,
    })
    await wait(pause * 1000, undefined, { signal: context.signal }).catch(() => undefined)
    throwIfCanceled(context.signal, 'making a tree')
  }
}

/** What the last program that ran has said. */
function sinceCommand(lines: readonly string[]): readonly string[] {
  return lines.slice(lines.findLastIndex((line) => line.startsWith('+ ')) + 1)
}

function hostOf(url: string): string {
  return /^\w+:\/\/(?:[^@/]*@)?([^/:]*)/.exec(url)?.[1] ?? ''
}

async function install(
  plan: TreePlan<RpmArchive>,
  { tools, paths, log, context }: StrategyRun,
  options: ToolOptions,
): Promise<{ readonly status: number }> {
  const patience = limitPatience(options.readLine ?? readZypperLine)
  try {
    return await tools.run(installCommand(plan, paths), {
      ...options,
      ...patience,
      accept: installed,
    })
  } catch (error) {
    // What it said before tells why.
    if (patience.signal.aborted && context.signal?.aborted !== true)
      throw new NspawnError('cannot run zypper', { code: 'PROGRAM_KILLED', operation: 'zypper' })
    if (!(error instanceof NspawnError) || error.status !== notFound) throw error
    const wanted = log.lines.flatMap((line) => missingName.exec(line)?.slice(1) ?? [])
    throw await notInRepositories('zypper', wanted, paths.packages, log)
  }
}

/** zypper asks for a package that does not come again and again, with half a minute between: once is enough. */
function limitPatience(next: (line: string) => LogEvent | undefined) {
  const controller = new AbortController()
  let failures = 0
  return {
    signal: controller.signal,
    readLine(line: string): LogEvent | undefined {
      if (/^Retrying in \d+ seconds/.test(line) && ++failures > 1) controller.abort()
      return next(line)
    },
  }
}

const missingName = /^No provider of '(.*)' found/

const locksFile = 'etc/zypp/locks'

/**
 * Packages that the solver may not choose, in the one place where it looks for them: the new tree.
 *
 * @see locks(5) of libzypp
 */
function writeLocks(names: readonly string[], tree: string): void {
  mkdirSync(join(tree, 'etc/zypp'), { recursive: true, mode: 0o755 })
  const locks = names.map(
    (name) => `type: package\nmatch_type: exact\ncase_sensitive: on\nsolvable_name: ${name}\n`,
  )
  writeFileSync(join(tree, locksFile), locks.join('\n'))
}

/** Where the files of a run are. */
function zypperPlaces({ temporary }: StrategyPaths) {
  return {
    configuration: join(temporary, 'zypp.conf'),
    repositories: join(temporary, 'repos.d'),
    log: join(temporary, 'zypper.log'),
  }
}

/**
 * A command with what all of them need. With `--root` the solver would keep a cache in the tree, below the path that
 * the cache has on the host; with `--installroot` it does not.
 *
 * @see zypper(8)
 */
function zypperCommand(
  { release, signatures }: TreePlan<RpmArchive>,
  paths: StrategyPaths,
  ...words: readonly string[]
): [string, ...string[]] {
  return [
    'zypper',
    '--non-interactive',
    '--no-color',
    ...['--installroot', paths.tree],
    ...['--reposd-dir', zypperPlaces(paths).repositories],
    ...['--cache-dir', paths.packages],
    ...['--releasever', release],
    ...(signatures === 'ignored' ? ['--no-gpg-checks'] : []),
    ...words,
  ]
}

/** @see zypper(8), "install"; a group of packages is called a pattern */
export function installCommand(
  plan: TreePlan<RpmArchive>,
  paths: StrategyPaths,
): [string, ...string[]] {
  return zypperCommand(
    plan,
    paths,
    '--no-refresh',
    'install',
    '--no-recommends',
    '--auto-agree-with-licenses',
    ...['--download', 'in-advance'],
    '--',
    ...plan.include.map((name) => name.replace(/^@/, 'pattern:')),
  )
}

/** @see zypp.conf as libzypp installs it, where each is explained */
export function zyppConfiguration({
  packageArchitecture,
  purpose,
}: Pick<TreePlan, 'packageArchitecture' | 'purpose'>): string {
  const values = [
    ['arch', packageArchitecture],
    ['download.connect_timeout', '20'],
    // Seconds with next to nothing coming in.
    ['download.transfer_timeout', '20'],
    ['rpm.install.excludedocs', purpose === 'command' ? 'yes' : 'no'],
  ] as const
  return `[main]\n${values.map(([key, value]) => `${key} = ${value}\n`).join('')}`
}

/** What zypper does, from a line of its output. */
export function readZypperLine(line: string): LogEvent | undefined {
  const fetching = /^Retrieving(?: package|:) (\S+).* \((\d+)\/(\d+)\)/.exec(line)
  if (fetching !== null)
    return progress(`fetching ${fetching[1]}`, Number(fetching[2]), Number(fetching[3]))
  const installing = /^\((\d+)\/(\d+)\) Installing: (\S+)/.exec(line)
  if (installing !== null)
    return progress(`installing ${installing[3]}`, Number(installing[1]), Number(installing[2]))
  const index = /^Retrieving repository '([^']*)' metadata/.exec(line)
  if (index !== null) return { kind: 'step', text: `index of ${index[1]}` }
  if (line.startsWith('Resolving package dependencies'))
    return { kind: 'step', text: 'choosing packages' }
  return undefined
}

function progress(text: string, done: number, total: number): LogEvent {
  return { kind: 'progress', text, done, total, unit: 'packages' }
}
