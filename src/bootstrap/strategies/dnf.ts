/** dnf, by either of its two programs: version 5, which is another program altogether, and version 4. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { NspawnError } from '../../errors.ts'
import type { LogEvent } from '../../log.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import { scriptsFailed } from '../failed-scripts.ts'
import { rpm } from '../families/rpm.ts'
import { linkFromPool } from '../package-cache.ts'
import type { TreePlan } from '../plan.ts'
import { dnfConfiguration, type DnfVersion } from '../rpm/dnf-configuration.ts'
import { handOverDatabase, writableFormat } from '../rpm/database-format.ts'
import { makeRpmHome } from '../rpm/home.ts'
import { rpmKeyObstacle, writeRpmKeys } from '../rpm/keys.ts'
import { notInRepositories } from '../rpm/package-names.ts'
import { scriptletWatch } from '../rpm/scriptlets.ts'
import type { Strategy, StrategyPaths, StrategyRun } from '../strategy.ts'
import { diagnoseDnf } from './dnf-failures.ts'

type Program = 'dnf' | 'dnf5'

export const dnf = strategyOf('dnf')
export const dnf5 = strategyOf('dnf5')

function strategyOf(program: Program): Strategy<RpmArchive> {
  return {
    id: program,
    abilities: ['offline'],
    updates: 'included',
    takesFromPool: 'itself',
    programs: [program],
    toolPackages: [program, 'rpm'],

    // What no program could change comes first, so that its hint is the one that is shown.
    obstacle(draft, host) {
      if (draft.archive.database.format === 'bdb') {
        return {
          reason: `the rpm of ${draft.recipe} ${draft.release} reads only Berkeley DB, which no present rpm writes`,
          hint: 'take a newer release, or fetch an image with pull-tar',
        }
      }
      const keyless = rpmKeyObstacle(draft, host)
      if (keyless !== undefined) return keyless
      if (host.findProgram(program) === undefined)
        return { reason: `${program} is not installed`, hint: `install the package ${program}` }
      // Keys are a list for it, which these would divide.
      if (program === 'dnf5' && /[\s,]/.test(draft.destination))
        return { reason: 'it cannot work below a directory with a blank or comma in its path' }
      return undefined
    },

    versionCommand,

    async fill(plan, run) {
      const { paths, tools } = run
      const format = await writableFormat(plan, run)
      const environment = makeRpmHome(join(paths.temporary, 'home'), plan, format)
      const keys = await writeRpmKeys(plan, { hasFile: existsSync }, join(paths.temporary, 'keys'))
      const places = dnfPlaces(paths)
      for (const directory of [places.log, places.nothing]) mkdirSync(directory)
      const cache = cacheOf(plan, program)
      await linkFromPool(join(paths.pool, cache), join(paths.packages, cache), (path) =>
        rpm.isPackage(path, plan.packageArchitecture),
      )
      const version = await dnfVersion(program, run, environment)
      writeFileSync(places.configuration, dnfConfiguration(plan, keys, version))
      const scripts = scriptletWatch(readDnfLine)
      try {
        await tools.run(dnfCommand(plan, paths, { program, version }), {
          environment,
          apiFileSystems: 'mounted',
          emulated: plan.execution === 'emulated',
          readLine: scripts.readLine,
        })
      } catch (error) {
        const unknown = run.log.lines.flatMap(unknownNames)
        if (unknown.length === 0 || (error as NspawnError).code === 'CANCELED') throw error
        throw await notInRepositories(program, unknown, paths.packages, run.log)
      }
      if (scripts.failed.length > 0) {
        throw scriptsFailed(`cannot make a tree with ${program}`, scripts.failed, {
          verb: 'create',
          operation: program,
          log: run.log,
        })
      }
      await handOverDatabase(plan, run, format, environment)
    },

    readLine: readDnfLine,
    diagnose: diagnoseDnf,
  }
}

/**
 * The directory of indexes and packages for these trees: indexes are big, and those of other releases are not wanted.
 * dnf itself keeps the index of a repository apart by its URL, and looks whether the index and each package is still
 * what it should be.
 */
function cacheOf({ release, packageArchitecture }: TreePlan, program: Program): string {
  return `${program}-${release}-${packageArchitecture}`
}

/** Where the files of a run are. */
function dnfPlaces({ temporary }: StrategyPaths) {
  return {
    configuration: join(temporary, 'dnf.conf'),
    log: join(temporary, 'dnf-log'),
    nothing: join(temporary, 'nothing'),
  }
}

/** Asked for its version, dnf 4 writes a log whatever it is told; this one goes away with the program's namespace. */
function versionCommand(program: string): [string, ...string[]] {
  const hidden = 'mount -t tmpfs log /var/log && exec "$@"'
  return ['sh', '-c', hidden, 'sh', program, '--version']
}

/** Fedora calls version 5 `dnf` too. */
async function dnfVersion(
  program: Program,
  { tools }: StrategyRun,
  environment: Readonly<Record<string, string>>,
): Promise<DnfVersion> {
  if (program === 'dnf5') return 5
  const { stdout } = await tools.run(versionCommand(program), { environment })
  return stdout.startsWith('dnf5') ? 5 : 4
}

/**
 * The command that installs the tree.
 *
 * Directories that are not named here are looked for below the tree, or on the host where dnf 4 finds none there.
 *
 * @see dnf(8), dnf5(8)
 */
export function dnfCommand(
  plan: TreePlan<RpmArchive>,
  paths: StrategyPaths,
  { program, version }: { readonly program: Program; readonly version: DnfVersion },
): [string, ...string[]] {
  const { configuration, log, nothing } = dnfPlaces(paths)
  const directories = {
    cachedir: join(paths.packages, cacheOf(plan, program)),
    logdir: log,
    reposdir: nothing,
    varsdir: nothing,
    // Version 4 takes it as it is; 5 puts it below the tree by itself.
    ...(version === 4 ? { persistdir: join(paths.tree, 'var/lib/dnf') } : {}),
  }
  const options = [
    '-y',
    `--config=${version === 4 ? basename(configuration) : configuration}`,
    `--installroot=${paths.tree}`,
    `--releasever=${plan.release}`,
    ...(plan.execution === 'emulated' ? [`--forcearch=${plan.packageArchitecture}`] : []),
    ...Object.entries(directories).map(([name, path]) => `--setopt=${name}=${path}`),
    version === 4 ? '--disableplugin=*' : '--no-plugins',
    plan.network === 'forbidden' ? '--cacheonly' : '--refresh',
  ]
  if (version === 5) return [program, 'install', ...options, ...plan.include]
  // It takes the path for a URL, and stages have a hash sign in theirs.
  const there = ['env', `--chdir=${dirname(configuration)}`] as const
  return [...there, program, ...options, 'install', ...plan.include]
}

/** Version 4 names all of them on one line; both also speak of each. */
export function unknownNames(line: string): string[] {
  const one = /No match for argument: (\S+)/.exec(line)?.[1]
  if (one !== undefined) return [one]
  return /Unable to find a match: (.+)/.exec(line)?.[1]?.trim().split(/\s+/) ?? []
}

/** What dnf does, from a line of its output. */
export function readDnfLine(line: string): LogEvent | undefined {
  const step = (text: string) => ({ kind: 'step', text }) as const
  const progress = (text: string, done: number, total: number) =>
    ({ kind: 'progress', text, done, total, unit: 'packages' }) as const
  // Version 4: `(3/12): bash-5.2.rpm  1.2 MB/s | …` and `  Installing  : bash-5.2  3/12`.
  const fetched = /^\((\d+)\/(\d+)\): (\S+)/.exec(line)
  if (fetched !== null)
    return progress(`fetching ${fetched[3]}`, Number(fetched[1]), Number(fetched[2]))
  const done = /^ +(Installing|Upgrading|Running scriptlet) *: (\S+) +(\d+)\/(\d+) *$/.exec(line)
  if (done !== null) {
    const what = done[1] === 'Running scriptlet' ? 'running a script of' : done[1]!.toLowerCase()
    return progress(`${what} ${done[2]}`, Number(done[3]), Number(done[4]))
  }
  // Version 5: `[ 3/12] Installing bash-0:5.2  100% | …`, of the packages' own files without a verb.
  const counted = /^\[ *(\d+)\/ *(\d+)\] (?:(Installing|Upgrading) )?(\S+)/.exec(line)
  if (counted !== null && !/^(Total|Verify|Prepare)$/.test(counted[4]!)) {
    const what = counted[3]?.toLowerCase() ?? 'fetching'
    return progress(`${what} ${counted[4]}`, Number(counted[1]), Number(counted[2]))
  }
  if (line.startsWith('Running transaction')) return step('installing packages')
  if (line.startsWith('Downloading Packages')) return step('fetching packages')
  return undefined
}
