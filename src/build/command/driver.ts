/** Runs any command in a copy of any directory, and hands out what it has declared as results. */
import { chmod, chown, mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { describeTree } from '../base-tree.ts'
import { overlay } from '../containers.ts'
import { copySourceTree } from '../copy-source-tree.ts'
import type {
  BuildGround,
  BuildRequest,
  BuildResult,
  Driver,
  DriverRun,
  SourceOutline,
  Subject,
} from '../driver.ts'
import { fillLayer } from '../fill-layer.ts'
import { installerOf } from '../installers.ts'
import type { Installer } from '../installers/installer.ts'
import { layerKey } from '../layers.ts'
import type { LocalRepository } from '../local-repository.ts'
import { provideLockedRoot } from '../lock/locked-layer.ts'
import { requireLocking } from '../lock/locking.ts'
import { lockBuildRoot } from '../lock/make-lock.ts'
import { buildUserId, buildUserName } from '../places.ts'
import { prepareRoot } from '../prepare-root.ts'
import { seeReadyPackages } from '../ready-packages.ts'
import type { ResultFile } from '../results.ts'
import { runBuild } from '../run-build.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import { askAbove, containerFacts, installerStep, provideToolchain } from '../toolchain-layer.ts'
import { collectMatching } from './collect.ts'
import { homeDirectory, sourceDirectory } from './places.ts'
import { planCommand, type CommandOptions } from './plan.ts'

export interface CommandBuild extends BuildRequest {
  /** Absolute path of a directory. */
  readonly source: string
  readonly options: CommandOptions
}

/**
 * Runs the command and puts its results, with `build.log` and `build.json`, into the output directory.
 *
 * @throws NspawnError as `runBuild()`
 */
export async function buildCommand(build: CommandBuild): Promise<BuildResult> {
  return runBuild(commandDriver, build)
}

export const commandDriver: Driver<CommandBuild> = {
  id: 'command',
  describeTree: (path) => describeTree(path, installerOf(path)),
  installerOf,
  buildPath: sourceDirectory,
  begin: (session) => new CommandRun(session),
}

class CommandRun implements DriverRun {
  readonly subject: Subject
  private readonly session: BuildSession<CommandBuild>
  private readonly layers: string[] = []

  constructor(session: BuildSession<CommandBuild>) {
    this.session = session
    this.subject = { name: basename(session.request.source) }
  }

  async fetch(): Promise<void> {
    const { place, request, signal } = this.session
    const { source } = request
    const home = join(place.sources, homeDirectory)
    await mkdir(home, { recursive: true })
    await chmod(dirname(home), 0o755)
    await chown(home, buildUserId, buildUserId)
    const destination = join(place.sources, sourceDirectory)
    const wishes = { owner: buildUserId, versionControl: 'copied' } as const
    const { files, sha256 } = await copySourceTree(source, destination, wishes, signal)
    this.session.note({ source: { origin: source, files, treeSha256: sha256 } })
  }

  async outline(): Promise<SourceOutline> {
    // Nobody knows what a command makes.
    return { ...this.subject, makes: [], needs: [] }
  }

  async dependencies(): Promise<void> {
    const { session, subject } = this
    const { base, request, signal } = session
    const { packages } = request.options
    const installer = installerOf(base.path)
    const locked = await provideLockedRoot(session, installer, subject, homeDirectory)
    if (locked !== undefined) {
      requireSameWishes(packages, locked.asked)
      this.layers.push(locked.layer.upper)
      session.note({ packages: locked.packages })
      return
    }
    if (packages.length === 0) {
      const { upper } = await session.layer({
        kind: 'accounts',
        key: undefined,
        database: [],
        fill: async (layer) => {
          await prepareRoot(base.path, layer.upper, { home: homeDirectory })
          return undefined
        },
      })
      this.layers.push(upper)
      if (request.lock !== undefined) await this.look(requireLocking(installer, base.path))
      return
    }
    if (installer === undefined) throw noInstaller(base.path)
    const repository = await session.repository(installer)
    const toolchain = await provideToolchain(session, installer, subject, {
      home: homeDirectory,
      packages: repository === undefined ? packages : [],
      indexes: await installer.currentIndexes(base.path, signal),
    })
    this.layers.push(toolchain.upper)
    if (repository !== undefined)
      this.layers.push(await this.installReady(installer, toolchain, repository))
    await this.look(installer)
  }

  /** Notes what is installed, and locks it. */
  private async look(installer: Installer): Promise<void> {
    const { session, subject, layers } = this
    const { base, request } = session
    const below = [base.path, ...layers]
    const ask = askAbove(session, subject, below)
    const installed = await installer.installed(below.toReversed(), ask)
    session.note({ packages: installed })
    const asked = request.options.packages
    await lockBuildRoot(session, installer, subject, { layers, installed, asked })
  }

  /** Installs with ready packages at hand, above a toolchain that nobody else's builds see them in. */
  private async installReady(
    installer: Installer,
    toolchain: BuildLayer,
    repository: LocalRepository,
  ): Promise<string> {
    const { session, subject } = this
    const { tree, options } = session.request
    const { packages } = options
    const key =
      toolchain.key === undefined
        ? undefined
        : layerKey(['command dependencies', toolchain.key, packages.toSorted(), repository.digest])
    const below = [tree, toolchain.upper]
    const { upper } = await session.layer({
      kind: 'dependencies',
      key,
      database: installer.database,
      fill: async (layer) => {
        await seeReadyPackages(session, installer, subject, { repository, below, layer })
        const facts = containerFacts(session)
        await fillLayer(session, installer, subject, layer, (lent, mark) => {
          const command = installer.install(packages)
          const id = `${command.id}${mark}`
          const root = overlay([...lent, ...below, repository.layer], layer, id, true)
          return [installerStep({ ...command, id }, facts, root)]
        })
        return key
      },
    })
    return upper
  }

  async ground(): Promise<BuildGround> {
    const { request } = this.session
    // A version may stand behind the name.
    const needs = request.options.packages.map((one) => [one.replace(/[=<>].*$/s, '')])
    return { layers: [request.tree, ...this.layers], needs }
  }

  async unpack(): Promise<void> {
    // The source is where it belongs since it was copied.
  }

  async build(): Promise<void> {
    const { session, subject, layers } = this
    const { request, place } = session
    const step = planCommand({
      ...containerFacts(session),
      options: request.options,
      layers: [request.tree, ...layers, place.sources],
      build: place.build,
      user: buildUserName,
    })
    await session.run(step, subject)
  }

  async collect(): Promise<readonly ResultFile[]> {
    const { place, request, signal } = this.session
    return collectMatching(place.build.upper, request.options.collect, place.results, signal)
  }
}

/** Without any, those of the lock are meant. */
function requireSameWishes(packages: readonly string[], locked: readonly string[]): void {
  const wanted = packages.toSorted().join(', ')
  if (wanted === '' || wanted === locked.join(', ')) return
  throw new NspawnError(`the lock was made for other packages: ${locked.join(', ') || 'none'}`, {
    code: 'INVALID_LOCK',
    operation: 'compare lock',
    hint: 'leave out --package, or make another lock with --lock',
  })
}

function noInstaller(tree: string): NspawnError {
  return new NspawnError('the tree has no package manager that could install packages', {
    code: 'INVALID_TREE',
    operation: 'look at tree',
    subject: tree,
    hint: 'build in a tree that has what the command needs, without --package',
  })
}
