/**
 * Builds Arch packages from a PKGBUILD: pacman installs what it asks for, makepkg fetches the sources and
 * then builds without a network. A PKGBUILD is a program, so it is only ever read in a container.
 */
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describeError, NspawnError } from '../../errors.ts'
import { removeTreeGently } from '../../images/remove-tree.ts'
import { ownVersion } from '../../version.ts'
import { describeTreeWith } from '../base-tree.ts'
import type { BuildRequest, BuildResult, Driver, DriverRun, Subject } from '../driver.ts'
import { overlay } from '../containers.ts'
import { fillLayer } from '../fill-layer.ts'
import { pacman } from '../installers/pacman.ts'
import { installedPacmanPackages } from '../installers/pacman-packages.ts'
import { readPacmanSetup } from '../installers/pacman-repositories.ts'
import type { ResultFile } from '../results.ts'
import { runBuild } from '../run-build.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import { containerFacts, installerStep, provideToolchain } from '../toolchain-layer.ts'
import {
  checkPackages,
  collectLogs,
  collectPackages,
  collectSourcePackage,
  makeResultsLayer,
} from './collect.ts'
import { dependencyKey } from './layer-keys.ts'
import { homeDirectory, sourcesDirectory, startDirectory } from './places.ts'
import {
  buildStep,
  inspectStep,
  installCheckCommand,
  keysStep,
  lookStep,
  missingStep,
  namcapStep,
  sourcePackageStep,
  verifyStep,
  type ArchFacts,
  type ArchOptions,
  type Place,
} from './plan.ts'
import { SourceCache } from './source-cache.ts'
import { buildDependencies, isSignature, parseSourceInfo, type SourceInfo } from './source-info.ts'
import { stageDirectory, type StagedDirectory } from './stage-source.ts'

export interface ArchBuild extends BuildRequest {
  /** Absolute path of a directory with a PKGBUILD. */
  readonly source: string
  readonly options: ArchOptions
  /** Absolute paths of key files, or of directories of them, besides `keys/pgp` of the source. */
  readonly keyrings: readonly string[]
}

/**
 * Builds the packages and puts them, with makepkg's logs, `build.log` and `build.json`, into the output
 * directory.
 *
 * @throws NspawnError as `runBuild()`; `TEST_INSTALL` when the packages cannot be installed
 */
export async function buildArch(build: ArchBuild): Promise<BuildResult> {
  return runBuild(archDriver, build)
}

export const archDriver: Driver<ArchBuild> = {
  id: 'arch',
  describeTree: (path) =>
    describeTreeWith(
      path,
      pacman,
      'PKGBUILDs are built in trees of the Arch family',
      'make one with "tsnspawn-build create arch"',
    ),
  begin: (session) => new ArchRun(session),
}

class ArchRun implements DriverRun {
  private readonly session: BuildSession<ArchBuild>
  private readonly cache: SourceCache
  private staged: StagedDirectory | undefined
  private info: SourceInfo | undefined
  private toolchain: BuildLayer | undefined
  private version: string | undefined
  /** Below what is written, the lowest one first. */
  private layers: readonly string[]

  constructor(session: BuildSession<ArchBuild>) {
    this.session = session
    this.layers = [session.request.tree]
    this.cache = new SourceCache(join(session.request.stateDirectory, 'cache/source-files'))
  }

  get subject(): Subject {
    const { request } = this.session
    const name = this.info?.name ?? basename(request.source)
    return { name, version: this.version ?? this.info?.version }
  }

  async fetch(): Promise<void> {
    const { request, place, signal } = this.session
    const { source, options, keyrings } = request
    this.session.log({ kind: 'step', text: `copying ${source}` })
    this.staged = await stageDirectory({ source, keyrings, options, layer: place.sources, signal })
  }

  async dependencies(): Promise<void> {
    const { session } = this
    const { request, signal } = session
    this.toolchain = await provideToolchain(session, pacman, this.subject, {
      home: homeDirectory,
      packages: ['base-devel'],
      indexes: await pacman.currentIndexes(request.tree, signal),
    })
    this.layers = [request.tree, this.toolchain.upper]
    await this.readInfo()
    const missing = await this.missing()
    if (missing.length > 0)
      this.layers = [...this.layers, await this.dependencyLayer(this.toolchain, missing)]
    const packages = await installedPacmanPackages(this.layers.toReversed())
    session.note({ packages })
    await this.fetchSources()
  }

  async unpack(): Promise<void> {
    // makepkg unpacks the sources when it builds.
  }

  async build(): Promise<void> {
    const { session, subject } = this
    const place = this.building
    await session.run(buildStep(this.facts, place), subject)
    if (session.request.options.sourcePackage)
      await session.run(sourcePackageStep(this.facts, place), subject)
  }

  async collect(): Promise<readonly ResultFile[]> {
    const { session, known } = this
    const { place, request, signal } = session
    const { upper } = place.build
    const logs = await collectLogs(upper, known, place.results, signal)
    const sources = request.options.sourcePackage
      ? [await collectSourcePackage(upper, known, place.results, signal)]
      : []
    const { packages, results, others } = await collectPackages(upper, known, place.results, signal)
    if (others.length > 0) {
      const names = others.map((name) => JSON.stringify(name)).join(', ')
      session.log({ kind: 'notice', text: `left out, for nobody had promised it: ${names}` })
    }
    this.version = packages.at(-1)?.version
    const files = packages.map(({ file }) => file)
    const layer = join(place.directory, 'packages-made')
    await makeResultsLayer(layer, place.results, files)
    const looking = { layers: [...this.layers, layer], writable: await session.scratch('look') }
    checkPackages(await session.read(lookStep(this.facts, looking, files), this.subject), packages)
    if (request.options.installCheck) await this.installCheck(layer, files)
    if (request.options.namcap) await this.namcap(layer, files)
    return [...logs, ...sources, ...results]
  }

  private get facts(): ArchFacts {
    return {
      ...containerFacts(this.session),
      options: this.session.request.options,
      sourceDate: this.staged?.changed ?? 0,
      toolVersion: ownVersion(),
    }
  }

  private get known(): SourceInfo {
    if (this.info === undefined) throw new Error('the PKGBUILD has not been read')
    return this.info
  }

  private get building(): Place {
    return { layers: this.layers, writable: this.session.place.build }
  }

  /** Reads the PKGBUILD; whatever it writes then is thrown away. */
  private async readInfo(): Promise<void> {
    const { session, layers } = this
    const { request, place } = session
    const reading = {
      layers: [...layers, place.sources],
      writable: await session.scratch('inspect'),
    }
    const lines = await session.read(inspectStep(this.facts, reading), this.subject)
    const { architecture } = await readPacmanSetup(request.tree)
    this.info = parseSourceInfo(lines, architecture)
    const { name, version, packages, sources } = this.info
    const { files, treeSha256 } = this.staged ?? {}
    session.note({
      source: { name, version, origin: request.source, packages, files, treeSha256, sources },
    })
  }

  private async missing(): Promise<readonly string[]> {
    const { session, layers } = this
    const { check } = session.request.options
    const wanted = buildDependencies(this.known, { check })
    if (wanted.length === 0) return []
    const place = { layers, writable: await session.scratch('deptest') }
    const lines = await session.read(missingStep(this.facts, place, wanted), this.subject)
    return lines.filter((line) => wanted.includes(line))
  }

  private async dependencyLayer(
    toolchain: BuildLayer,
    packages: readonly string[],
  ): Promise<string> {
    const { session, layers } = this
    const key = dependencyKey(toolchain.key, packages)
    const { upper } = await session.layer({
      kind: 'dependencies',
      key,
      database: pacman.database,
      fill: async (layer) => {
        const command = {
          ...pacman.install(packages),
          id: 'dependencies',
          title: 'install build dependencies',
        }
        await fillLayer(session, pacman, this.subject, layer, (lent, mark) => {
          const id = `${command.id}${mark}`
          const root = overlay([...lent, ...layers], layer, id, true)
          return [installerStep({ ...command, id }, this.facts, root)]
        })
        return key
      },
    })
    return upper
  }

  /** Lets makepkg fetch and check the sources. Of what is written then, only the sources stay. */
  private async fetchSources(): Promise<void> {
    const { session, known, cache } = this
    const { place, signal } = session
    const { sources } = known
    const directory = join(place.sources, sourcesDirectory)
    const lent = await cache.lend(sources, directory, signal)
    const beside = new Set(await readdir(join(place.sources, startDirectory)))
    const fetching = sources.some(
      ({ kind, name }) => kind !== 'local' && !lent.has(name) && !beside.has(name),
    )
    const layers = [...this.layers, place.sources]
    const writable = await session.scratch('fetch')
    const inside = { layers, writable }
    const keys = this.staged?.keys ?? []
    if (keys.length > 0 && sources.some(isSignature))
      await session.run(keysStep(this.facts, inside, keys), this.subject)
    await session.run(verifyStep(this.facts, inside, fetching), this.subject)
    for (const name of await readdir(writable.upper))
      if (`/${name}` !== sourcesDirectory) await removeTreeGently(join(writable.upper, name))
    if (fetching && (await readdir(writable.upper)).length > 0)
      await cache.keep(sources, writable.upper, signal)
    this.layers = [...layers, writable.upper]
  }

  /** In the tree with nothing but the toolchain, so that what the packages need must be said by them. */
  private async installCheck(made: string, files: readonly string[]): Promise<void> {
    const { session, toolchain } = this
    const layers = [session.request.tree, toolchain?.upper ?? '', made]
    const command = installCheckCommand(files)
    const root = overlay(layers, await session.scratch(command.id), command.id, false)
    await session.run(installerStep(command, this.facts, root), this.subject)
  }

  /** What it says is told and recorded; whatever happens, the packages stay. */
  private async namcap(made: string, files: readonly string[]): Promise<void> {
    const { session, layers, toolchain } = this
    try {
      const below = [...layers.slice(0, 2)]
      const key =
        toolchain?.key === undefined ? undefined : dependencyKey(toolchain.key, ['namcap'])
      const { upper } = await session.layer({
        kind: 'namcap',
        key,
        database: pacman.database,
        fill: async (layer) => {
          await fillLayer(session, pacman, this.subject, layer, (lent, mark) => {
            const command = pacman.install(['namcap'])
            const id = `install-namcap${mark}`
            const root = overlay([...lent, ...below], layer, id, true)
            return [installerStep({ ...command, id }, this.facts, root)]
          })
          return key
        },
      })
      const place = {
        layers: [...below, upper, session.place.sources, made],
        writable: await session.scratch('namcap'),
      }
      const lines = await session.read(namcapStep(this.facts, place, files), this.subject)
      const lint = lines.filter((line) => / [EW]: /.test(line))
      session.note({ lint })
      for (const text of lint) session.log({ kind: 'notice', text: `namcap: ${text}` })
    } catch (error) {
      if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
      session.log({ kind: 'warning', text: `namcap did not look: ${describeError(error)}` })
    }
  }
}
