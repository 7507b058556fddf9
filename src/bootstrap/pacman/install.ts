/**
 * What the two strategies with a pacman outside the tree share: a private configuration and keyring, the indexes, and
 * the decision which packages, so that what cannot be done is told before anything is fetched.
 */
import { existsSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { NspawnError } from '../../errors.ts'
import { nearest } from '../../settings/nearest.ts'
import type { PacmanArchive, PlannedPacmanRepository } from '../archives/pacman.ts'
import { scriptsFailed } from '../failed-scripts.ts'
import type { TreePlan } from '../plan.ts'
import type { StrategyRun } from '../strategy.ts'
import type { ToolResult } from '../tools.ts'
import { TreeFiles } from '../tree-files.ts'
import { cachedIndexName, pacmanConfiguration } from './configuration.ts'
import { diagnosePacman } from './failures.ts'
import { giveKeyring, makeKeyring } from './keyring.ts'
import { pacmanReader } from './output.ts'

/** A pacman that is ready to fill the tree. */
export interface ReadyPacman {
  readonly configuration: string
  /** Options that say where everything is; neither root nor configuration, which pacstrap gives itself. */
  readonly places: readonly string[]
  readonly targets: readonly string[]
}

/** A package as the resolver has chosen it. */
interface ChosenPackage {
  readonly repository: string
  readonly name: string
  readonly version: string
  readonly fileName: string
}

/**
 * Fills the tree with `command`.
 *
 * @throws NspawnError `BOOTSTRAP_…`, or a program's failure
 */
export async function installByPacman(
  plan: TreePlan<PacmanArchive>,
  run: StrategyRun,
  command: (ready: ReadyPacman) => [string, ...string[]],
  apiFileSystems: 'mounted' | 'none',
): Promise<void> {
  await new Installation(plan, run).install(command, apiFileSystems)
}

class Installation {
  private readonly plan: TreePlan<PacmanArchive>
  private readonly run: StrategyRun
  private readonly configuration: string
  private readonly keyring: string
  private readonly places: readonly string[]

  constructor(plan: TreePlan<PacmanArchive>, run: StrategyRun) {
    this.plan = plan
    this.run = run
    const { tree, temporary, packages } = run.paths
    this.configuration = join(temporary, 'pacman.conf')
    this.keyring = join(temporary, 'keyring')
    this.places = [
      ...['--dbpath', join(tree, 'var/lib/pacman')],
      ...['--cachedir', packages],
      ...['--hookdir', join(tree, 'etc/pacman.d/hooks')],
      ...['--gpgdir', this.keyring],
      ...['--logfile', '/dev/null'],
      ...['--noconfirm', '--noprogressbar'],
    ]
  }

  async install(
    command: (ready: ReadyPacman) => [string, ...string[]],
    apiFileSystems: 'mounted' | 'none',
  ): Promise<void> {
    const { plan, run, configuration, places } = this
    await makeTop(run.paths.tree)
    const repositories = await this.repositories()
    await writeFile(
      configuration,
      pacmanConfiguration(plan, repositories, await this.majorVersion()),
    )
    if (plan.signatures === 'required') await makeKeyring(plan, run, configuration, this.keyring)
    else await mkdir(this.keyring)
    await this.pacman('-Sy')
    const targets = await this.targets()
    const chosen = await this.resolve(targets)
    await this.refuseMissing(chosen)
    const reader = pacmanReader(chosen.length)
    const argv = command({ configuration, places, targets })
    const options = {
      apiFileSystems,
      emulated: plan.execution === 'emulated',
      readLine: reader.readLine,
    }
    await this.mendingCache(() => run.tools.run(argv, options))
    if (reader.failedScripts.length > 0) {
      throw scriptsFailed(`cannot make a tree with ${plan.strategy}`, reader.failedScripts, {
        verb: 'create',
        operation: 'pacman',
        log: run.log,
      })
    }
    if (plan.signatures === 'required')
      await giveKeyring(this.keyring, new TreeFiles(run.paths.tree))
    await this.keepIndexes()
  }

  private pacman(...words: readonly string[]): Promise<ToolResult> {
    return this.run.tools.run(this.line(words))
  }

  private line(words: readonly string[]): [string, ...string[]] {
    const { tree } = this.run.paths
    return ['pacman', '--root', tree, '--config', this.configuration, ...this.places, ...words]
  }

  private async majorVersion(): Promise<number> {
    const { stdout } = await this.run.tools.run(['pacman', '--version'])
    return Number(/Pacman v(\d+)/.exec(stdout)?.[1] ?? 0)
  }

  /** Where the indexes come from: without the network, from the cache. */
  private async repositories(): Promise<readonly PlannedPacmanRepository[]> {
    const { plan, run } = this
    const { repositories } = plan.archive
    if (plan.network === 'allowed') return repositories
    const absent: string[] = []
    const local: PlannedPacmanRepository[] = []
    for (const repository of repositories) {
      if (isLocal(repository)) {
        local.push(repository)
        continue
      }
      const directory = join(run.paths.temporary, 'indexes', repository.name)
      await mkdir(directory, { recursive: true })
      const kept = join(run.paths.packages, cachedIndexName(repository))
      if (!existsSync(kept)) absent.push(repository.name)
      for (const ending of ['', '.sig'].filter((one) => existsSync(kept + one)))
        await copyFile(kept + ending, join(directory, `${repository.name}.db${ending}`))
      local.push({ name: repository.name, server: pathToFileURL(directory).href })
    }
    if (absent.length === 0) return local
    throw new NspawnError(
      `the cache has no index of ${absent.join(', ')}, and nothing may be fetched`,
      {
        code: 'BOOTSTRAP_OFFLINE',
        operation: '--offline',
        hint: 'make such a tree with the network once',
      },
    )
  }

  /**
   * What to install by name. Groups with members that are to be left out are taken apart: pacman's own `--ignore` is a
   * question, whose default answer is to install.
   */
  private async targets(): Promise<string[]> {
    const { include, exclude } = this.plan
    if (exclude.length === 0) return [...include]
    const excluded = new Set(exclude.map(plainName))
    const line = this.line(['-Sg', ...include.map(plainName)])
    // It ends with 1 when one of them is no group.
    const { stdout } = await this.run.tools.run(line, { accept: [0, 1] })
    const members = new Map<string, string[]>()
    for (const [, group, member] of stdout.matchAll(/^(\S+) (\S+)$/gm))
      members.set(group!, [...(members.get(group!) ?? []), member!])
    const targets = include
      .flatMap((target) => members.get(target) ?? [target])
      .filter((target) => !excluded.has(plainName(target)))
    if (targets.length > 0) return targets
    throw this.unsuitable('nothing is left to install', 'check --exclude')
  }

  /** Everything that these need, and where it lies. */
  private async resolve(targets: readonly string[]): Promise<ChosenPackage[]> {
    const { log, tools } = this.run
    const line = this.line(['-Sp', '--print-format', 'package: %r %n %v %l', ...targets])
    const chosen: ChosenPackage[] = []
    try {
      const { stdout } = await tools.run(line)
      for (const [, repository, name, version, location] of stdout.matchAll(
        /^package: (\S+) (\S+) (\S+) (.+)$/gm,
      )) {
        chosen.push({
          repository: repository!,
          name: name!,
          version: version!,
          fileName: decodeURIComponent(basename(location!)),
        })
      }
    } catch (error) {
      const unknown = log.lines.flatMap((text) => /target not found: (\S+)/.exec(text)?.[1] ?? [])
      if (unknown.length === 0) throw error
      throw await this.unknownPackages([...new Set(unknown)])
    }
    const excluded = new Set(this.plan.exclude.map(plainName))
    const wanted = chosen.filter(({ name }) => excluded.has(name)).map(({ name }) => name)
    if (wanted.length === 0) return chosen
    throw this.unsuitable(
      `others need what was to be left out: ${wanted.join(', ')}`,
      'leave those out too, or do without --exclude',
    )
  }

  private async unknownPackages(names: readonly string[]): Promise<NspawnError> {
    const hints: string[] = []
    for (const name of names) {
      // It takes a regular expression, and finds nothing with status 1.
      const [first = '.'] = plainName(name).replaceAll(/[^a-z0-9]/g, '.')
      const line = this.line(['-Ssq', `^${first}`])
      const { stdout } = await this.run.tools.run(line, { accept: [0, 1] })
      const similar = nearest(plainName(name), stdout.split('\n'))
      if (similar !== undefined) hints.push(similar)
    }
    return this.unsuitable(
      `not in the repositories: ${names.join(', ')}`,
      hints.length === 0 ? 'check --include' : `did you mean ${hints.join(', ')}?`,
    )
  }

  private unsuitable(message: string, hint: string): NspawnError {
    return new NspawnError(`cannot make a tree with ${this.plan.strategy}: ${message}`, {
      code: 'BOOTSTRAP_PACKAGE',
      log: this.run.log.path,
      hint,
    })
  }

  /** @throws NspawnError `BOOTSTRAP_OFFLINE` when packages would have to be fetched and nothing may be */
  private async refuseMissing(chosen: readonly ChosenPackage[]): Promise<void> {
    if (this.plan.network === 'allowed') return
    const local = new Set(this.plan.archive.repositories.filter(isLocal).map(({ name }) => name))
    const cached = new Set(await readdir(this.run.paths.packages))
    const missing = chosen
      .filter(({ repository, fileName }) => !local.has(repository) && !cached.has(fileName))
      .map(({ name, version }) => `${name} ${version}`)
    if (missing.length === 0) return
    const shown = missing.slice(0, 5).join(', ')
    const more = missing.length > 5 ? ` and ${missing.length - 5} more` : ''
    throw new NspawnError(`the cache lacks ${shown}${more}, and nothing may be fetched`, {
      code: 'BOOTSTRAP_OFFLINE',
      operation: '--offline',
      hint: 'make such a tree with the network once',
    })
  }

  /** A damaged package of the cache is no reason to fail: it is fetched again. */
  private async mendingCache(install: () => Promise<unknown>): Promise<void> {
    const { paths, log, context, tools } = this.run
    const isFile = (name: string) => name.includes('.pkg.tar')
    const before = (await readdir(paths.packages)).filter(isFile)
    try {
      await install()
    } catch (error) {
      const cause = diagnosePacman(log.lines)?.code
      const broken = cause === 'BOOTSTRAP_CORRUPT' || cause === 'BOOTSTRAP_SIGNATURE'
      if (before.length === 0 || !broken || this.plan.network === 'forbidden') throw error
      const text = 'a package of the cache is no good: all are fetched again'
      log.add(text)
      context.log({ kind: 'notice', text })
      for (const name of before) await rm(join(paths.packages, name), { force: true })
      // What was said of them is no longer true.
      log.lines.length = 0
      await tools.run(this.line(['-Sy']))
      await install()
    }
  }

  /** For trees that are made without the network. */
  private async keepIndexes(): Promise<void> {
    const { paths } = this.run
    const files = new TreeFiles(paths.tree)
    for (const repository of this.plan.archive.repositories) {
      if (isLocal(repository) || this.plan.network === 'forbidden') continue
      for (const ending of ['', '.sig']) {
        // Scripts of packages have run since it was fetched.
        const index = `/var/lib/pacman/sync/${repository.name}.db${ending}`
        if (files.stat(index)?.isFile() !== true) continue
        const kept = join(paths.packages, cachedIndexName(repository) + ending)
        await copyFile(files.resolve(index), kept)
      }
    }
  }
}

function isLocal({ server, otherServers = [] }: PlannedPacmanRepository): boolean {
  return [server, ...otherServers].every((url) => url.startsWith('file:'))
}

/** Without a repository before it and a version behind it. */
function plainName(target: string): string {
  return target.replace(/^[^/]*\//, '').replace(/[<>=].*$/, '')
}

/** What has to be there before the first package, as the package with the top directories has it. */
async function makeTop(tree: string): Promise<void> {
  const directories = [
    ['var/lib/pacman', 0o755],
    ['etc/pacman.d', 0o755],
    ['dev', 0o755],
    ['run', 0o755],
    ['tmp', 0o1777],
    ['var/tmp', 0o1777],
    ['proc', 0o555],
    ['sys', 0o555],
  ] as const
  for (const [path, mode] of directories) {
    await mkdir(join(tree, path), { recursive: true })
    await chmod(join(tree, path), mode)
  }
}
