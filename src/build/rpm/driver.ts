/**
 * Builds rpm packages as mock does: the tree's own package manager installs what the spec asks for,
 * rpmbuild builds, and what it leaves are the packages.
 */
import { basename } from 'node:path'
import { NspawnError } from '../../errors.ts'
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
import { dnf, dnf5 } from '../installers/dnf.ts'
import type { IndexIdentity, InstalledPackage } from '../installers/installer.ts'
import type { RpmInstaller } from '../installers/rpm-installer.ts'
import { namesInDependency } from '../installers/rpm-repository.ts'
import { zypper } from '../installers/zypper.ts'
import { provideLockedRoot } from '../lock/locked-layer.ts'
import { lockBuildRoot } from '../lock/make-lock.ts'
import type { LocalRepository } from '../local-repository.ts'
import type { ResultFile } from '../results.ts'
import { runBuild } from '../run-build.ts'
import type { BuildLayer, BuildSession } from '../session.ts'
import { askAbove, containerFacts, provideToolchain } from '../toolchain-layer.ts'
import { commonLayers, type BuildRoot } from './build-root.ts'
import {
  checkNames,
  copyPackages,
  findPackages,
  findSourcePackage,
  findSpec,
  writeInstalled,
} from './collect.ts'
import { provideDependencies } from './dependency-layer.ts'
import { askRpmlint, checkInstallation } from './look-at-results.ts'
import { homeDirectory, packagesDirectory, specsDirectory, topDirectory } from './places.ts'
import {
  buildStep,
  generatedStep,
  generateStep,
  inspectStep,
  productsStep,
  resultsStep,
  signatureStep,
  sourcePackageStep,
  unpackStep,
  wholeStep,
  type Place,
  type RpmBuildOptions,
  type RpmFacts,
} from './plan.ts'
import { parseProducts } from './products.ts'
import { signatureWords, sourceSignature } from './signature.ts'
import type { RpmSource } from './source-argument.ts'
import {
  isDynamic,
  isNothing,
  joinRequirements,
  parseRequirements,
  parseSpecFacts,
  sameRequirements,
  type Requirements,
  type SpecFacts,
} from './spec-facts.ts'
import { failedStage } from './stages.ts'
import { fetchSources, stageSource, type StagedSource } from './stage-source.ts'
import { toolchainPackages } from './toolchain.ts'

export interface RpmBuild extends BuildRequest {
  readonly source: RpmSource
  readonly options: RpmBuildOptions
}

/**
 * Builds the packages and puts them, the source package first, with `build.log`, `build.json` and
 * `installed_pkgs.log` into the output directory.
 *
 * @throws NspawnError as `runBuild()`
 */
export async function buildRpm(build: RpmBuild): Promise<BuildResult> {
  return runBuild(rpmDriver, build)
}

/** Most particular first: dnf is also in trees of openSUSE, and where dnf5 is, dnf is another name of it. */
const installers: readonly RpmInstaller[] = [zypper, dnf5, dnf]

export const rpmDriver: Driver<RpmBuild> = {
  id: 'rpm',
  describeTree: (path) =>
    describeTreeWith(
      path,
      installerFor(path),
      'rpm packages are built in trees of the rpm family',
      'make one with "tsnspawn-build create fedora"',
    ),
  installerOf: installerFor,
  buildPath: topDirectory,
  begin: (session) => new RpmRun(session),
}

function installerFor(tree: string): RpmInstaller {
  return installers.find((installer) => installer.isIn(tree)) ?? dnf
}

/** How often installed packages may bring forth other build dependencies. */
const roundLimit = 10

class RpmRun implements DriverRun {
  private readonly session: BuildSession<RpmBuild>
  private readonly installer: RpmInstaller
  private readonly indexes: Promise<IndexIdentity | undefined>
  private readonly stopAsking = new AbortController()
  private staged: StagedSource | undefined
  private facts: SpecFacts | undefined
  private spec = ''
  /** What it requires is known only when it has been prepared. */
  private dynamic = false
  private toolchain: BuildLayer | undefined
  /** The toolchain's layer has all that there is. */
  private isLocked = false
  private repository: LocalRepository | undefined
  /** Below what is written, the lowest one first. */
  private layers: readonly string[] = []
  /** Paths of the packages in the container. */
  private made: readonly string[] = []
  /** What is installed for the source. */
  private wanted: Requirements = { requires: [], conflicts: [] }
  private installed: readonly InstalledPackage[] = []
  private scratches = 0
  private installations = 0

  constructor(session: BuildSession<RpmBuild>) {
    this.session = session
    const { fresh, signal, tree } = session.request
    this.installer = installerFor(tree)
    const { signal: stop } = this.stopAsking
    const signals = signal === undefined ? [stop] : [stop, signal]
    // Goes on while the source is fetched.
    this.indexes =
      fresh === true || session.given !== undefined
        ? Promise.resolve(undefined)
        : this.installer.currentIndexes(tree, AbortSignal.any(signals))
    this.indexes.catch(() => undefined)
  }

  get subject(): Subject {
    if (this.facts !== undefined) return this.facts
    const { source } = this.session.request
    return { name: basename(source.kind === 'package-url' ? source.url.pathname : source.path) }
  }

  async fetch(): Promise<void> {
    const { request, place, signal, log } = this.session
    try {
      const { source } = request
      this.staged = await stageSource({ source, layer: place.sources, signal, log })
    } catch (error) {
      this.stopAsking.abort()
      throw error
    }
  }

  async dependencies(): Promise<void> {
    const { session } = this
    await this.readSource()
    this.repository = await session.repository(this.installer)
    const wanted = await this.settle(this.known.requirements)
    await this.completeSources()
    const made = sourcePackageStep(this.plan, this.building, this.spec)
    this.dynamic = isDynamic(await session.read(made, this.subject))
    if (this.dynamic) await this.generated(wanted)
    this.installed = await this.installer.installed(
      this.layers.toReversed(),
      askAbove(session, this.subject, this.layers),
    )
    session.note({ packages: this.installed })
    await lockBuildRoot(session, this.installer, this.subject, {
      layers: this.layers.slice(1),
      installed: this.installed,
      asked: toolchainPackages(session.base.os),
    })
  }

  async outline(): Promise<SourceOutline> {
    await this.fetch()
    await this.readSource()
    const { name, version, requirements } = this.known
    const place = { ...this.building, writable: await this.scratch() }
    const layers = [...place.layers, this.session.place.build.upper]
    const step = productsStep(this.plan, { ...place, layers }, this.spec)
    const makes = parseProducts(await this.session.read(step, this.subject))
    return { name, version, makes, needs: requirements.requires.map(namesInDependency) }
  }

  async ground(): Promise<BuildGround> {
    return { layers: this.layers, needs: this.wanted.requires.map(namesInDependency) }
  }

  async unpack(): Promise<void> {
    // The source package was made to see what it requires; rpmbuild unpacks the rest.
  }

  async build(): Promise<void> {
    const { dynamic, isLocked: locked } = this
    const step = buildStep(this.plan, this.building, this.spec, { dynamic, locked })
    await this.naming(() => this.session.run(step, this.subject))
  }

  async collect(): Promise<readonly ResultFile[]> {
    const { place, signal } = this.session
    const { upper } = place.build
    const packages = await findPackages(upper, this.known.name)
    const copied = await copyPackages(upper, packages, place.results, signal)
    const layers = [...this.building.layers, upper]
    const looking = { layers, writable: await this.scratch() }
    const paths = packages.map(({ name, directory }) => `${directory}/${name}`)
    const lines = await this.session.read(resultsStep(this.plan, looking, paths), this.subject)
    checkNames(packages, lines)
    this.made = paths
    return [await writeInstalled(this.installed, place.results), ...copied]
  }

  get inspect(): (() => Promise<void>) | undefined {
    const { request, place } = this.session
    const { installCheck, rpmlint } = request.options
    if (!installCheck && !rpmlint) return undefined
    return async () => {
      const { upper } = place.build
      const installable = this.made.filter((path) => path.startsWith(packagesDirectory))
      if (rpmlint) await askRpmlint(this.root, upper, this.made)
      if (installCheck) await checkInstallation(this.root, upper, installable)
    }
  }

  private get plan(): RpmFacts {
    return { ...containerFacts(this.session), options: this.session.request.options }
  }

  private get root(): BuildRoot {
    const { session, installer, toolchain, repository, subject, plan } = this
    if (toolchain === undefined) throw new Error('there is no toolchain')
    return { session, installer, tree: session.request.tree, toolchain, repository, subject, plan }
  }

  private get known(): SpecFacts {
    if (this.facts === undefined) throw new Error('the spec has not been read')
    return this.facts
  }

  private get source(): StagedSource {
    if (this.staged === undefined) throw new Error('the source has not been staged')
    return this.staged
  }

  /** What the source writes itself is seen by its later steps. */
  private get building(): Place {
    const { place } = this.session
    return { layers: [...this.layers, place.sources], writable: place.build }
  }

  /** Has rpm read the spec above the toolchain. */
  private async readSource(): Promise<void> {
    const { session } = this
    const { base, request } = session
    const locked = await provideLockedRoot(session, this.installer, this.subject, homeDirectory)
    this.isLocked = locked !== undefined
    this.toolchain =
      locked?.layer ??
      (await provideToolchain(session, this.installer, this.subject, {
        home: homeDirectory,
        packages: toolchainPackages(base.os),
        indexes: await this.indexes,
      }))
    this.layers = [request.tree, this.toolchain.upper]
    await this.openSource()
    await this.requirements()
  }

  /** Unpacks a source package; then there is a spec either way. */
  private async openSource(): Promise<void> {
    const { session, source, plan, building } = this
    const { name } = source
    this.spec = name
    if (source.form === 'spec') return
    await session.run(wholeStep(plan, { ...building, writable: await this.scratch() }, name), {
      name,
    })
    const signed = { ...building, writable: await this.scratch() }
    this.tellSignature(await session.read(signatureStep(plan, signed, name), { name }))
    await session.run(unpackStep(plan, building, name), { name })
    this.spec = await findSpec(session.place.build.upper, specsDirectory)
  }

  /** Who vouches for a source package. A key that the tree does not know is no failure, a bad signature is. */
  private tellSignature(lines: readonly string[]): void {
    const signature = sourceSignature(lines)
    if (signature === 'bad') {
      throw new NspawnError('the signature of the source package does not hold', {
        code: 'SOURCE_SIGNATURE',
        operation: 'rpmkeys -K',
        subject: this.source.origin,
      })
    }
    this.session.log({ kind: 'notice', text: signatureWords[signature] })
  }

  /** Has rpm read the spec above the layers that there are. */
  private async requirements(): Promise<Requirements> {
    const { session, source } = this
    const place = { ...this.building, writable: await this.scratch() }
    // An unpacked source package lies in what the build writes.
    const layers = [...place.layers, session.place.build.upper]
    const step = inspectStep(this.plan, { ...place, layers }, this.spec, `read-${this.scratches}`)
    this.facts = parseSpecFacts(await session.read(step, this.subject))
    const { name, version, sources } = this.facts
    const { origin, form, files } = source
    session.note({ source: { name, version, origin, form, files, sources } })
    return this.facts.requirements
  }

  /** Installs what is required, until that makes nothing else required. */
  private async settle(first: Requirements): Promise<Requirements> {
    let wanted = first
    for (let round = 1; round <= roundLimit; round++) {
      await this.install(wanted)
      // Without a new package there is no new macro.
      if (isNothing(wanted)) return wanted
      const now = await this.requirements()
      if (sameRequirements(now, wanted)) return wanted
      wanted = now
    }
    throw unsettled(this.subject)
  }

  /** Lets the source say what else it wants, and installs that, until it wants nothing new. */
  private async generated(first: Requirements): Promise<void> {
    const { session, plan, spec } = this
    const { upper } = session.place.build
    let wanted = first
    for (let round = 1; round <= roundLimit; round++) {
      const generate = generateStep(plan, this.building, spec, round, round === 1)
      await this.naming(() => session.run(generate, this.subject))
      const name = await findSourcePackage(upper, '.buildreqs.nosrc.rpm')
      if (name === undefined) return
      const step = generatedStep(plan, this.building, name, round)
      const now = joinRequirements(
        wanted,
        parseRequirements(await session.read(step, this.subject)),
      )
      if (sameRequirements(now, wanted)) return
      wanted = now
      await this.install(wanted)
    }
    throw unsettled(this.subject)
  }

  /** Puts the layer with these dependencies in place of the one before. */
  private async install(wanted: Requirements): Promise<void> {
    this.wanted = wanted
    if (this.isLocked) return
    const layer = await provideDependencies(this.root, wanted, String(++this.installations))
    this.layers = [...commonLayers(this.root), ...(layer === undefined ? [] : [layer.upper])]
  }

  /** Fetches what the spec names and nobody has given, before the build has no network. */
  private async completeSources(): Promise<void> {
    const { session, source, known } = this
    const { place, signal, log } = session
    const { checksums, origin, form, files } = source
    const fetched = await fetchSources(
      { layer: place.sources, signal, log },
      { sources: known.sources, checksums, upper: place.build.upper },
    )
    const { name, version, sources } = known
    session.note({
      source: { name, version, origin, form, files: [...files, ...fetched], sources },
    })
  }

  /** Says which part of the spec has failed. */
  private async naming(run: () => Promise<void>): Promise<void> {
    try {
      await run()
    } catch (error) {
      const stage = failedStage(this.session.buildLog.lastLines(20))
      if (!(error instanceof NspawnError) || error.code !== 'BUILD_FAILED' || stage === undefined)
        throw error
      const { code, operation, status, hint, cause } = error
      const message = `${error.message}: ${stage} has failed`
      throw new NspawnError(message, { code, operation, status, hint, cause, subject: stage })
    }
  }

  private async scratch() {
    this.scratches++
    return this.session.scratch(String(this.scratches))
  }
}

function unsettled({ name }: Subject): NspawnError {
  return new NspawnError(`the build dependencies of ${name} never come to an end`, {
    code: 'DEPENDENCY_UNSATISFIABLE',
    operation: 'find build dependencies',
    subject: name,
    hint: `each of ${roundLimit} rounds of installing has brought forth others`,
  })
}
