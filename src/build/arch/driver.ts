/**
 * Builds Arch packages from a PKGBUILD: pacman installs what it asks for, makepkg fetches the sources and
 * then builds without a network. A PKGBUILD is a program, so it is only ever read in a container.
 */
import { basename } from 'node:path'
import { ownVersion } from '../../version.ts'
import { describeTreeWith } from '../base-tree.ts'
import type {
  BuildGround,
  BuildRequest,
  BuildResult,
  Driver,
  DriverRun,
  SourceOutline,
  Subject,
} from '../driver.ts'
import { requireAllLocked } from '../lock/differences.ts'
import { provideLockedRoot } from '../lock/locked-layer.ts'
import { lockBuildRoot } from '../lock/make-lock.ts'
import { pacman } from '../installers/pacman.ts'
import { installedPacmanPackages } from '../installers/pacman-packages.ts'
import { packageOf } from '../installers/pacman-repository.ts'
import type { LocalRepository } from '../local-repository.ts'
import { replacedPackages } from '../ready-packages.ts'
import type { ResultFile } from '../results.ts'
import { runBuild } from '../run-build.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import { containerFacts, provideToolchain } from '../toolchain-layer.ts'
import { askPkgbuild } from './ask-pkgbuild.ts'
import { collectLogs, collectPackages, collectSourcePackage, type PackageFile } from './collect.ts'
import { fetchSources } from './fetch-sources.ts'
import { lookAtPackages, requireWhole } from './look-at-packages.ts'
import { providePackages, type ArchWork } from './package-layer.ts'
import { homeDirectory } from './places.ts'
import { buildStep, sourcePackageStep, type ArchFacts, type ArchOptions } from './plan.ts'
import { buildDependencies, type SourceInfo } from './source-info.ts'
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
  installerOf: () => pacman,
  begin: (session) => new ArchRun(session),
}

class ArchRun implements DriverRun {
  private readonly session: BuildSession<ArchBuild>
  private staged: StagedDirectory | undefined
  private toolchain: BuildLayer | undefined
  private info: SourceInfo | undefined
  private version: string | undefined
  private repository: LocalRepository | undefined
  /** Below what the build writes, the lowest one first. */
  private layers: readonly string[] = []
  /** The same without the source's own. */
  private stands: readonly string[] = []
  private sourcesChecked = false
  private packages: readonly PackageFile[] = []

  constructor(session: BuildSession<ArchBuild>) {
    this.session = session
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

  async outline(): Promise<SourceOutline> {
    await this.fetch()
    await this.provideToolchain()
    const { info } = await askPkgbuild(this.work, given(this.staged))
    const { name, version, packages, provides } = info
    const needs = buildDependencies(info, this.session.request.options)
    return {
      ...{ name, version },
      makes: [...new Set([...packages, ...provides.map(packageOf)])].toSorted(),
      needs: needs.map((one) => [packageOf(one)]),
    }
  }

  async dependencies(): Promise<void> {
    const { session } = this
    const { tree, source } = session.request
    const locked = await provideLockedRoot(session, pacman, this.subject, homeDirectory)
    const toolchain = locked?.layer ?? (await this.provideToolchain())
    this.toolchain = toolchain
    const staged = given(this.staged)
    const { info, missing } = await askPkgbuild(this.work, staged)
    this.info = info
    const { name, version, packages, sources } = info
    const { files, treeSha256 } = staged
    session.note({
      source: { name, version, origin: source, packages, files, treeSha256, sources },
    })
    const below = [tree, toolchain.upper]
    if (locked !== undefined) requireAllLocked(missing)
    this.repository = await session.repository(pacman)
    const ready = { repository: this.repository, below, id: 'look-replaced' }
    const replaced = await replacedPackages(session, pacman, this.subject, ready)
    if (missing.length > 0 || replaced.length > 0)
      below.push(await providePackages(this.work, 'dependencies', missing, this.repository))
    const installed = await installedPacmanPackages(below.toReversed())
    session.note({ packages: installed })
    await lockBuildRoot(session, pacman, this.subject, {
      layers: below.slice(1),
      installed,
      asked: toolchainPackages,
    })
    this.stands = below
    const fetched = await fetchSources(this.work, sources, below, staged.keys)
    this.layers = [...below, ...fetched.layers]
    this.sourcesChecked = fetched.checked
  }

  async ground(): Promise<BuildGround> {
    const needs = buildDependencies(given(this.info), this.session.request.options)
    return { layers: this.stands, needs: needs.map((one) => [packageOf(one)]) }
  }

  async unpack(): Promise<void> {
    // makepkg unpacks the sources when it builds.
  }

  async build(): Promise<void> {
    const { session, subject, layers, sourcesChecked } = this
    const { facts } = this.work
    const place = { layers, writable: session.place.build }
    await session.run(buildStep(facts, place, { sourcesChecked }), subject)
    if (facts.options.sourcePackage) await session.run(sourcePackageStep(facts, place), subject)
  }

  async collect(): Promise<readonly ResultFile[]> {
    const { session } = this
    const { place, request, signal } = session
    const { upper } = place.build
    const info = given(this.info)
    const logs = await collectLogs(upper, info, place.results, signal)
    const sources = request.options.sourcePackage
      ? [await collectSourcePackage(upper, info, place.results, signal)]
      : []
    const { packages, results, others } = await collectPackages(upper, info, place.results, signal)
    if (others.length > 0) {
      const names = others.map((name) => JSON.stringify(name)).join(', ')
      session.log({ kind: 'notice', text: `left out, for nobody had promised it: ${names}` })
    }
    this.version = packages.at(-1)?.version
    this.packages = packages
    await requireWhole(this.work, packages)
    return [...logs, ...sources, ...results]
  }

  get inspect(): (() => Promise<void>) | undefined {
    const { installCheck, namcap } = this.session.request.options
    if (!installCheck && !namcap) return undefined
    return async () => lookAtPackages(this.work, this.packages, this.repository)
  }

  private async provideToolchain(): Promise<BuildLayer> {
    const { session, subject } = this
    const { tree } = session.request
    this.toolchain = await provideToolchain(session, pacman, subject, {
      home: homeDirectory,
      packages: toolchainPackages,
      indexes: await pacman.currentIndexes(tree, session.signal),
    })
    return this.toolchain
  }

  private get work(): ArchWork {
    const { session, subject, staged, toolchain } = this
    const { request } = session
    const facts: ArchFacts = {
      ...containerFacts(session),
      options: request.options,
      sourceDate: given(staged).changed,
      toolVersion: ownVersion(),
    }
    return { session, facts, subject, tree: request.tree, toolchain: given(toolchain) }
  }
}

const toolchainPackages = ['base-devel']

/** What an earlier phase has found. */
function given<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a phase of the build was left out')
  return value
}
