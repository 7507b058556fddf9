/**
 * Builds Debian source packages as Debian's build daemons do: apt installs what the source asks for,
 * dpkg-buildpackage builds, the `.changes` says what came of it.
 */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { AnswerCache } from '../answer-cache.ts'
import { describeTreeWith } from '../base-tree.ts'
import type {
  BuildGround,
  BuildRequest,
  Driver,
  DriverRun,
  SourceOutline,
  Subject,
} from '../driver.ts'
import { apt, aptWith } from '../installers/apt.ts'
import { describeExtras, readAptExtras } from '../installers/apt-extras.ts'
import type { Installer } from '../installers/installer.ts'
import { dpkgArchitecture, installedDpkgPackages } from '../installers/dpkg-packages.ts'
import type { Writable } from '../layers.ts'
import type { LocalRepository } from '../local-repository.ts'
import { provideLockedRoot } from '../lock/locked-layer.ts'
import { lockBuildRoot } from '../lock/make-lock.ts'
import { buildUserName } from '../places.ts'
import type { ResultFile } from '../results.ts'
import type { BuildSession } from '../session.ts'
import { seeReadyPackages } from '../ready-packages.ts'
import { containerFacts, provideToolchain, readOnlyLayer } from '../toolchain-layer.ts'
import { askedRelations, writeAskedPackages } from './asked-packages.ts'
import { collectChanges } from './changes.ts'
import type { SignaturePolicy } from './dsc-signature.ts'
import { dependencyKey } from './layer-keys.ts'
import { buildDirectory, changelogEntryPath, homeDirectory } from './places.ts'
import { changelogEntry, rebuiltVersion, type Rebuild } from './rebuild.ts'
import { needsOf, outlineStaged } from './outline.ts'
import {
  planDebianBuild,
  type BuildLayers,
  type BuildPhase,
  type DebianBuildOptions,
} from './plan.ts'
import { inspectResults, refuseWithLock } from './inspect/inspect-results.ts'
import type { SourceRequest } from './source-argument.ts'
import { stageSource } from './stage-source.ts'
import type { StagedSource, StageRequest } from './staged-source.ts'

export interface DebianBuild extends BuildRequest {
  readonly source: SourceRequest
  readonly options: DebianBuildOptions
  readonly signature: SignaturePolicy
}

export const debianDriver: Driver<DebianBuild> = {
  id: 'debian',
  describeTree: (path) =>
    describeTreeWith(
      path,
      apt,
      'Debian packages are built in trees of the Debian family',
      'make one with "tsnspawn-build create debian"',
    ),
  installerOf: () => apt,
  buildPath: buildDirectory,
  begin: (session) => new DebianRun(session),
}

const nowhere: Writable = { upper: '', work: '' }
const toolchainPackages = ['build-essential', 'fakeroot']

class DebianRun implements DriverRun {
  private readonly session: BuildSession<DebianBuild>
  /** With the package sources that were asked for. */
  private readonly installer: Installer
  private readonly indexes: ReturnType<typeof apt.currentIndexes>
  private readonly stopAsking = new AbortController()
  private source: StagedSource | undefined
  private toolchain: Writable | undefined
  private installed: Writable = nowhere
  private repository: LocalRepository | undefined
  /** Names of the results. */
  private files: readonly string[] = []

  constructor(session: BuildSession<DebianBuild>) {
    this.session = session
    const { fresh, signal, tree, options } = session.request
    const { packageSources } = options
    const extras = packageSources && readAptExtras(packageSources)
    this.installer = extras === undefined ? apt : aptWith(extras)
    if (extras !== undefined) {
      const files = describeExtras(extras)
      session.note({ options: { ...options, packageSources: { ...packageSources, files } } })
    }
    const unasked = fresh === true || session.given !== undefined
    const { signal: stop } = this.stopAsking
    const signals = signal === undefined ? [stop] : [stop, signal]
    // Goes on while the source is fetched.
    this.indexes = unasked
      ? Promise.resolve(undefined)
      : this.installer.currentIndexes(tree, AbortSignal.any(signals))
    this.indexes.catch(() => undefined)
  }

  get subject(): Subject {
    return this.staged.control
  }

  async fetch(): Promise<void> {
    const { given, request } = this.session
    if (given !== undefined) refuseWithLock(request.options)
    try {
      // To its end, whatever the mirrors say: nobody may go on writing where the clean-up removes.
      await this.stage()
    } catch (error) {
      this.stopAsking.abort()
      throw error
    }
  }

  async outline(): Promise<SourceOutline> {
    await this.stage({ upstream: 'left-out' })
    // Nobody waits for the mirrors any more.
    this.stopAsking.abort()
    const { place, request, signal } = this.session
    const architecture = await dpkgArchitecture(request.tree)
    return outlineStaged(place.sources, this.staged, request.options, architecture, signal)
  }

  async dependencies(): Promise<void> {
    const { session } = this
    const { request } = session
    const locked = await provideLockedRoot(session, apt, this.subject, homeDirectory)
    if (locked !== undefined) {
      this.installed = readOnlyLayer(locked.layer)
      session.note({ packages: locked.packages })
      return
    }
    const toolchain = await provideToolchain(session, this.installer, this.subject, {
      home: homeDirectory,
      packages: toolchainPackages,
      indexes: await this.indexes,
    })
    this.toolchain = readOnlyLayer(toolchain)
    this.repository = await session.repository(apt)
    const { profiles } = request.options
    const asked = askedRelations(this.staged.control, request.options, {
      architecture: await dpkgArchitecture(request.tree),
      profiles,
    })
    const key =
      toolchain.key === undefined
        ? undefined
        : dependencyKey(toolchain.key, asked, profiles, this.repository?.digest)
    const dependencies = await session.layer({
      kind: 'dependencies',
      key,
      database: apt.database,
      fill: async (layer) => {
        this.installed = layer
        await seeReadyPackages(session, apt, this.subject, {
          repository: this.repository,
          below: [request.tree, toolchain.upper],
          layer,
        })
        await writeAskedPackages(this.askedLayer, this.staged.control, asked)
        await this.steps('dependencies')
        return key
      },
    })
    this.installed = readOnlyLayer(dependencies)
    const packages = await installedDpkgPackages([
      dependencies.upper,
      toolchain.upper,
      request.tree,
    ])
    session.note({ packages })
    await lockBuildRoot(session, apt, this.subject, {
      layers: [toolchain.upper, dependencies.upper],
      installed: packages,
      asked: toolchainPackages,
    })
  }

  async ground(): Promise<BuildGround> {
    const { request } = this.session
    const { profiles } = request.options
    const buildCase = { architecture: await dpkgArchitecture(request.tree), profiles }
    const toolchain = this.toolchain === undefined ? [] : [this.toolchain.upper]
    return {
      layers: [request.tree, ...toolchain, this.installed.upper],
      needs: needsOf(askedRelations(this.staged.control, request.options, buildCase), buildCase),
    }
  }

  async unpack(): Promise<void> {
    await this.steps('unpack')
  }

  async build(): Promise<void> {
    await this.steps('build')
  }

  async collect(): Promise<readonly ResultFile[]> {
    const { place, signal } = this.session
    const { rebuild } = this.session.request.options
    const { name, version } = this.staged.control
    const made = rebuild === undefined ? version : rebuiltVersion(version, rebuild)
    const control = { name, version: made }
    const results = await collectChanges(place.build.upper, control, place.results, signal)
    this.files = results.map((file) => file.name)
    return results
  }

  get inspect(): (() => Promise<void>) | undefined {
    const { lintian, installCheck } = this.session.request.options
    if (lintian === undefined && installCheck !== true) return undefined
    return async () =>
      inspectResults(
        {
          session: this.session,
          installer: this.installer,
          subject: this.subject,
          indexes: await this.indexes,
          repository: this.repository,
        },
        this.files,
      )
  }

  private get staged(): StagedSource {
    if (this.source === undefined) throw new Error('the source has not been staged')
    return this.source
  }

  private get askedLayer(): string {
    return join(this.session.place.directory, 'asked')
  }

  private async stage(wishes: Pick<StageRequest, 'upstream'> = {}): Promise<void> {
    const { request, place, signal, log } = this.session
    const { tree, source, signature: policy, stateDirectory, options } = request
    const cache = new AnswerCache(join(stateDirectory, 'cache/sources'))
    const layer = place.sources
    this.source = await stageSource({
      ...{ source, tree, layer, policy, cache, signal, log },
      ...wishes,
    })
    const { control, origin, form, files, treeSha256, git, signature } = this.source
    const { name, version, format } = control
    this.session.note({
      source: { name, version, format, origin, form: form.kind, signature, files, treeSha256, git },
    })
    if (options.rebuild !== undefined) await this.writeEntry(options.rebuild)
    if (form.kind === 'unpacked' && options.scope.source) {
      throw new NspawnError(
        `there is no upstream tarball of ${name}, so that no source package can be made`,
        {
          code: 'SOURCE_INVALID',
          operation: 'read source package',
          subject: origin,
          hint: 'put its .orig.tar.* beside the directory, or build without the source package',
        },
      )
    }
  }

  /** Lays the entry out beside the source, for the step that puts it into the changelog. */
  private async writeEntry(rebuild: Rebuild): Promise<void> {
    const { place, request, base } = this.session
    const distribution = base.os.codename ?? 'unstable'
    const architecture = await dpkgArchitecture(request.tree)
    const path = join(place.sources, changelogEntryPath)
    await writeFile(
      path,
      changelogEntry(this.staged.control, rebuild, { architecture, distribution }),
    )
    await chmod(path, 0o644)
  }

  private async steps(phase: BuildPhase): Promise<void> {
    const { request, place } = this.session
    const layers: BuildLayers = {
      tree: request.tree,
      toolchain: this.toolchain,
      asked: this.askedLayer,
      repository: this.repository?.layer,
      dependencies: this.installed,
      sources: place.sources,
      build: place.build,
    }
    const plan = planDebianBuild({
      source: this.staged,
      options: request.options,
      layers,
      user: buildUserName,
      ...containerFacts(this.session),
    })
    for (const step of plan) if (step.phase === phase) await this.session.run(step, this.subject)
  }
}
