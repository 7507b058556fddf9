/**
 * What the tests of a Debian source run in: the tree brought up to date, a kept layer with what a test depends on, and the
 * unpacked source. Only the last needs tools that tests must not find by chance: it is unpacked above a toolchain of its own.
 */
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseDeb822 } from '../../bootstrap/debian/deb822.ts'
import { AnswerCache } from '../../build/answer-cache.ts'
import { builderSettings, overlay } from '../../build/containers.ts'
import { homeDirectory } from '../../build/command/places.ts'
import { askedRelations, writeAskedPackages } from '../../build/debian/asked-packages.ts'
import { dependencyKey } from '../../build/debian/layer-keys.ts'
import { homeDirectory as nowhereHome, buildDirectory } from '../../build/debian/places.ts'
import { planDebianBuild, type BuildPhase } from '../../build/debian/plan.ts'
import type { DebianBuild } from '../../build/debian/driver.ts'
import { sourceDirectoryName } from '../../build/debian/source-control.ts'
import { stageSource } from '../../build/debian/stage-source.ts'
import type { StagedSource } from '../../build/debian/staged-source.ts'
import { apt, aptCommand, aptWith } from '../../build/installers/apt.ts'
import { readAptExtras } from '../../build/installers/apt-extras.ts'
import { dpkgArchitecture } from '../../build/installers/dpkg-packages.ts'
import type { IndexIdentity, Installer } from '../../build/installers/installer.ts'
import { layerKey, type Writable } from '../../build/layers.ts'
import { buildHostName, buildUserId, buildUserName } from '../../build/places.ts'
import { makeDirectories, putFile } from '../../build/prepare-root.ts'
import { seeReadyPackages } from '../../build/ready-packages.ts'
import type { BuildLayer, BuildSession } from '../../build/session.ts'
import type { Step } from '../../build/step-runner.ts'
import {
  containerFacts,
  installerStep,
  provideToolchain,
  readOnlyLayer,
} from '../../build/toolchain-layer.ts'
import { readTreeFile } from '../../build/tree-path.ts'
import { NspawnError } from '../../errors.ts'
import { initIn } from '../booted-system.ts'
import { needsBoot, testLogin, testPlaces, testPrograms } from './plan-test.ts'
import { sourceWords, testDependencies, type SourceWords } from './test-dependencies.ts'
import { parseTestsControl, type PackageTest } from './tests-control.ts'

/** Grows whenever the layers of dependencies are filled in another way. */
const layerVersion = 1

/** Code of the error of a source that has none. */
export const noTests = 'SOURCE_NO_TESTS'

const toolchainPackages = ['build-essential', 'fakeroot']

/** A source package and its tests, ready to be run. */
export class DebianTestbed {
  readonly architecture: string
  readonly source: StagedSource
  readonly tests: readonly PackageTest[]
  private readonly session: BuildSession<DebianBuild>
  private readonly words: SourceWords
  /** The tree, up to date. */
  private readonly base: BuildLayer
  /** With the unpacked source. */
  private readonly unpacked: string
  private readonly prepared: string
  private readonly dependencies = new Map<string, Promise<string>>()
  private built: Promise<string> | undefined
  private scratches = 0

  private constructor(parts: {
    readonly session: BuildSession<DebianBuild>
    readonly architecture: string
    readonly source: StagedSource
    readonly tests: readonly PackageTest[]
    readonly words: SourceWords
    readonly base: BuildLayer
    readonly prepared: string
  }) {
    this.session = parts.session
    this.architecture = parts.architecture
    this.source = parts.source
    this.tests = parts.tests
    this.words = parts.words
    this.base = parts.base
    this.prepared = parts.prepared
    this.unpacked = parts.session.place.build.upper
  }

  /**
   * Fetches and unpacks the source, and reads its tests.
   *
   * @throws NspawnError `SOURCE_…` (`SOURCE_NO_TESTS`, `SOURCE_INVALID`), `DEPENDENCY_…`, `CANCELED`
   */
  static async open(session: BuildSession<DebianBuild>): Promise<DebianTestbed> {
    const { request, place, signal, log } = session
    const { tree, stateDirectory, fresh } = request
    const source = await stageSource({
      ...{ source: request.source, tree, layer: place.sources, signal, log },
      policy: request.signature,
      cache: new AnswerCache(join(stateDirectory, 'cache/sources')),
    })
    const installer = aptOf(session)
    const indexes = fresh === true ? undefined : await installer.currentIndexes(tree, signal)
    await unpack(session, source, indexes)
    const architecture = await dpkgArchitecture(tree)
    const control = await readUnpacked(session, source, 'debian/control')
    const text = await readTests(session, source, control ?? '', indexes)
    const base = await provideToolchain(session, installer, source.control, {
      home: homeDirectory,
      packages: [],
      indexes,
    })
    return new DebianTestbed({
      ...{ session, architecture, source, base },
      tests: parseTestsControl(text),
      words: sourceWords(parseDeb822(control ?? '', 'debian/control')),
      prepared: await preparePlaces(session),
    })
  }

  /** Absolute, in the container. */
  get sourceDirectory(): string {
    return unpackedAt(this.source)
  }

  /**
   * Makes the layers that a test runs above, the lowest one first.
   *
   * @throws NspawnError `DEPENDENCY_…`, `BUILD_FAILED` of a source that has to be built for it, `CANCELED`
   */
  async layersFor(test: PackageTest): Promise<readonly string[]> {
    const sudo = test.restrictions.includes('needs-sudo')
    const { tree } = this.session.request
    const { sources } = this.session.place
    const lacksInit = needsBoot(test) && !initIn([tree, this.base.upper])
    const groups = [...testDependencies(test, this.words), ...(lacksInit ? ['init'] : [])]
    const key = JSON.stringify([groups, sudo])
    const known = this.dependencies.get(key) ?? this.install(groups, sudo)
    this.dependencies.set(key, known)
    // One after the other: a session has one container at a time.
    const dependencies = await known
    const built = test.restrictions.includes('build-needed')
    if (built) this.built ??= this.build()
    const upper = built ? [await this.built!] : []
    return [
      ...[tree, this.base.upper, dependencies, sources, this.unpacked],
      ...upper,
      this.prepared,
    ]
  }

  /** Why the source does not have what it declares; undefined when it does, or may have once it is built. */
  async whyMissing({ run, restrictions }: PackageTest): Promise<string | undefined> {
    if (run.kind === 'command' || restrictions.includes('build-needed')) return undefined
    const text = await readUnpacked(this.session, this.source, run.path)
    return text === undefined ? `there is no ${run.path}` : undefined
  }

  private async install(groups: readonly string[], sudo: boolean): Promise<string> {
    const { session, base } = this
    const { tree } = session.request
    const subject = this.source.control
    const repository = await session.repository(apt)
    const inputs = [layerVersion, base.key, groups, sudo, repository?.digest]
    const key = base.key === undefined ? undefined : layerKey(['tests of a package', ...inputs])
    const below = [tree, base.upper]
    const mark = `-${++this.scratches}`
    const { upper } = await session.layer({
      kind: 'test dependencies',
      key,
      database: apt.database,
      fill: async (layer) => {
        await seeReadyPackages(session, apt, subject, { repository, below, layer, mark })
        const ready = repository === undefined ? [] : [repository.layer]
        const facts = containerFacts(session)
        if (groups.length > 0) {
          const id = `satisfy${mark}`
          const root = overlay([...below, ...ready], layer, id, false)
          await session.run(installerStep({ ...satisfy(groups), id }, facts, root), subject)
        }
        const id = `testbed${mark}`
        const root = overlay(below, layer, id, true)
        await session.run(installerStep({ ...finish(sudo), id }, facts, root), subject)
        return key
      },
    })
    return upper
  }

  /** Builds the source, its dependencies and all; @returns the layer with what the build has written */
  private async build(): Promise<string> {
    const { session, source } = this
    const { request } = session
    const toolchain = await provideSourceToolchain(session, source, await this.indexes())
    const buildCase = { architecture: this.architecture, profiles: [] }
    const relations = askedRelations(source.control, request.options, buildCase)
    // As of a build without ready packages, whose layer it may be.
    const key =
      toolchain.key === undefined ? undefined : dependencyKey(toolchain.key, relations, [])
    const installed = await session.layer({
      kind: 'dependencies',
      key,
      database: apt.database,
      fill: async (layer) => {
        const asked = join(session.place.directory, 'asked')
        await writeAskedPackages(asked, source.control, relations)
        await debianSteps(session, source, { toolchain, installed: layer, asked }, 'dependencies')
        return key
      },
    })
    const written = await session.scratch('built')
    const layers = [
      ...[request.tree, toolchain.upper, installed.upper],
      ...[session.place.sources, this.unpacked],
    ]
    const settings = builderSettings(containerFacts(session), {
      root: overlay(layers, written, 'built', false),
      command: ['dpkg-buildpackage', '-us', '-uc', '-b', '-T', 'build'],
      user: buildUserName,
      directory: this.sourceDirectory,
      environment: {
        HOME: nowhereHome,
        DEB_BUILD_OPTIONS: `nocheck parallel=${request.options.jobs}`,
      },
      options: request.options,
    })
    const hint = 'its tests need a built source; the lines above say why it does not build'
    const step: Step = {
      ...{ id: 'build', title: 'build the source for its tests', settings, hint },
      failure: 'BUILD_FAILED',
    }
    await session.run(step, source.control)
    return written.upper
  }

  private async indexes(): Promise<IndexIdentity | undefined> {
    const { fresh, tree } = this.session.request
    return fresh === true
      ? undefined
      : aptOf(this.session).currentIndexes(tree, this.session.signal)
  }
}

/** With the package sources that were asked for. */
function aptOf({ request }: BuildSession<DebianBuild>): Installer {
  const { packageSources } = request.options
  return packageSources === undefined ? apt : aptWith(readAptExtras(packageSources))
}

function provideSourceToolchain(
  session: BuildSession<DebianBuild>,
  { control }: StagedSource,
  indexes: IndexIdentity | undefined,
): Promise<BuildLayer> {
  const wishes = { home: nowhereHome, packages: toolchainPackages, indexes }
  return provideToolchain(session, aptOf(session), control, wishes)
}

async function unpack(
  session: BuildSession<DebianBuild>,
  source: StagedSource,
  indexes: IndexIdentity | undefined,
): Promise<void> {
  if (source.form.kind === 'unpacked') return
  const toolchain = await provideSourceToolchain(session, source, indexes)
  const installed = await session.scratch('nothing')
  await debianSteps(session, source, { toolchain, installed, asked: '' }, 'unpack')
}

interface StepLayers {
  readonly toolchain: BuildLayer
  readonly installed: Writable
  readonly asked: string
}

/** The steps that a build of the source would take. */
async function debianSteps(
  session: BuildSession<DebianBuild>,
  source: StagedSource,
  { toolchain, installed, asked }: StepLayers,
  phase: BuildPhase,
): Promise<void> {
  const { request, place } = session
  const plan = planDebianBuild({
    source,
    options: request.options,
    layers: {
      ...{ tree: request.tree, toolchain: readOnlyLayer(toolchain), asked },
      ...{ dependencies: installed, sources: place.sources, build: place.build },
    },
    user: buildUserName,
    ...containerFacts(session),
  })
  for (const step of plan) if (step.phase === phase) await session.run(step, source.control)
}

function unpackedAt({ control, form }: StagedSource): string {
  const name = form.kind === 'unpacked' ? form.name : sourceDirectoryName(control)
  return `${buildDirectory}/${name}`
}

async function readUnpacked(
  { place }: BuildSession<DebianBuild>,
  source: StagedSource,
  path: string,
): Promise<string | undefined> {
  const layer = source.form.kind === 'unpacked' ? place.sources : place.build.upper
  return readTreeFile(layer, `${unpackedAt(source)}/${path}`)
}

/** Its own tests, and those of its kind where it says that it is of one. */
async function readTests(
  session: BuildSession<DebianBuild>,
  source: StagedSource,
  control: string,
  indexes: IndexIdentity | undefined,
): Promise<string> {
  const own = await readUnpacked(session, source, 'debian/tests/control')
  const [paragraph] = parseDeb822(control, 'debian/control')
  const kinds = paragraph?.folded('Testsuite') ?? paragraph?.folded('XS-Testsuite') ?? ''
  // It gives what the source has itself, too.
  if (/\bautopkgtest-pkg-/.test(kinds)) return generateTests(session, source, kinds, indexes)
  if (own !== undefined) return own
  throw new NspawnError('the source has no tests of its own', {
    code: noTests,
    operation: 'read the tests of the package',
    subject: source.origin,
    hint: 'they are declared in debian/tests/control (DEP-8)',
  })
}

/** Of packages that are alike, as modules of Perl, autodep8(1) knows the tests. */
async function generateTests(
  session: BuildSession<DebianBuild>,
  source: StagedSource,
  kinds: string,
  indexes: IndexIdentity | undefined,
): Promise<string> {
  const { request, place } = session
  const packages = ['autodep8']
  const tools = await provideToolchain(session, aptOf(session), source.control, {
    ...{ home: homeDirectory, packages, indexes },
  })
  const layers = [request.tree, tools.upper, place.sources, place.build.upper]
  const settings = builderSettings(containerFacts(session), {
    root: overlay(layers, await session.scratch('autodep8'), 'autodep8', false),
    command: ['autodep8'],
    user: buildUserName,
    directory: unpackedAt(source),
    environment: { HOME: homeDirectory },
    options: { network: 'none', environment: {} },
  })
  const hint = `it is of the kind ${kinds}`
  const step: Step = {
    ...{ id: 'autodep8', title: 'find tests for a package of its kind', settings, hint },
    ...{ failure: 'SOURCE_INVALID', answers: true },
  }
  return (await session.read(step, source.control)).join('\n')
}

/** What every test finds besides: places to write to, and programs to call. */
async function preparePlaces(session: BuildSession<DebianBuild>): Promise<string> {
  const { request, place } = session
  const layer = join(place.directory, 'prepared')
  await mkdir(layer)
  await chmod(layer, 0o755)
  const { temporary, artifacts, programs, login } = testPlaces
  for (const path of [dirname(temporary), temporary, artifacts, homeDirectory]) {
    const inLayer = path.slice(1)
    await makeDirectories(request.tree, layer, inLayer)
    await chown(join(layer, inLayer), buildUserId, buildUserId)
  }
  await makeDirectories(request.tree, layer, programs.slice(1))
  // An init takes it from there, and /etc/hosts has to know it.
  await putFile(request.tree, layer, 'etc/hostname', `${buildHostName}\n`, 0o644)
  await writeFile(join(layer, login), testLogin)
  await chmod(join(layer, login), 0o644)
  for (const [name, text] of Object.entries(testPrograms)) {
    const path = join(layer, programs, name)
    await writeFile(path, text)
    await chmod(path, 0o755)
  }
  return layer
}

function satisfy(groups: readonly string[]) {
  return aptCommand(['satisfy', groups.join(', ')], {
    id: 'satisfy',
    title: 'install what the test depends on',
    failure: 'DEPENDENCY_UNSATISFIABLE',
    hint: 'test in a tree of a release that has these packages, or give ready ones with --add-package',
  })
}

/** Services may start from now on, and who needs sudo has it. */
function finish(sudo: boolean) {
  const rule = `${buildUserName} ALL=(ALL:ALL) NOPASSWD: ALL`
  const lines = [
    'rm -f /usr/sbin/policy-rc.d',
    ...(sudo
      ? [
          `usermod -a -G sudo ${buildUserName}`,
          `umask 0337; echo '${rule}' >/etc/sudoers.d/autopkgtest`,
        ]
      : []),
  ]
  return {
    id: 'testbed',
    title: 'make the testbed ready',
    command: ['/bin/sh', '-ec', lines.join('\n')],
    failure: 'DEPENDENCY_INSTALL',
    hint: 'the tree lacks what every system has',
  } as const
}
