/**
 * The steps of a Debian build, decided before anything runs: what is executed, as whom, with which
 * environment, in which layers, with or without a network. Pure, so that it can be shown and tested.
 */
import type { Settings } from '../../settings/settings.ts'
import { builderSettings, overlay, type ContainerFacts } from '../containers.ts'
import type { BuildOptions } from '../driver.ts'
import { aptCommand } from '../installers/apt.ts'
import type { ExtraWishes } from '../installers/apt-extras.ts'
import type { LintianWishes } from './inspect/lintian-tags.ts'
import type { Writable } from '../layers.ts'
import { askedPackages } from './asked-packages.ts'
import { buildDirectory, changelogEntryPath, homeDirectory, sourceDirectory } from './places.ts'
import type { Step, Verdict } from '../step-runner.ts'
import { installerStep } from '../toolchain-layer.ts'
import type { Rebuild } from './rebuild.ts'
import { sourceDirectoryName } from './source-control.ts'
import type { StagedSource } from './staged-source.ts'

/** Which packages come out: architecture-dependent ones, independent ones, the source package. */
export interface BuildScope {
  readonly any: boolean
  readonly all: boolean
  readonly source: boolean
}

export interface DebianBuildOptions extends BuildOptions {
  readonly scope: BuildScope
  /** Words for DEB_BUILD_OPTIONS (`nocheck`, `nodoc`). */
  readonly buildOptions: readonly string[]
  readonly profiles: readonly string[]
  /** Let apt take any alternative of a build dependency; build daemons take the first. */
  readonly anyAlternative?: boolean | undefined
  /** Gives binary packages another version, with an entry of the changelog that says why. */
  readonly rebuild?: Rebuild | undefined
  /** Has lintian look at the results. */
  readonly lintian?: LintianWishes | undefined
  /** Installs, removes and purges the results where nothing of the build is. */
  readonly installCheck?: boolean | undefined
  /** Package sources and pins besides those of the tree. */
  readonly packageSources?: ExtraWishes | undefined
}

/** Absolute host directories. Each writable one has its `upper` and `work` on one file system. */
export interface BuildLayers {
  readonly tree: string
  /** Indexes, upgrades and the toolchain are installed here; `undefined` where one layer has everything. */
  readonly toolchain: Writable | undefined
  /** What the source asks for, in words for apt, seen while dependencies are installed. */
  readonly asked: string
  /** Ready packages, seen while dependencies are installed. */
  readonly repository?: string | undefined
  /** And here what the source asks for. */
  readonly dependencies: Writable
  readonly sources: string
  /** What the build itself writes. */
  readonly build: Writable
}

export interface PlanRequest extends ContainerFacts {
  readonly source: StagedSource
  readonly options: DebianBuildOptions
  readonly layers: BuildLayers
  /** The build user's name or number in the container. */
  readonly user: string
}

export type BuildPhase = 'dependencies' | 'unpack' | 'build'

export interface BuildStep extends Step {
  readonly phase: BuildPhase
}

/** Plans all steps above the toolchain's layer, in order. */
export function planDebianBuild(request: PlanRequest): readonly BuildStep[] {
  const entry = request.options.rebuild === undefined ? [] : [changelogStep(request)]
  return [dependencyStep(request), ...unpackSteps(request), ...entry, buildStep(request)]
}

/** The dpkg-buildpackage option for a scope; none means a full build. */
export function scopeOption({ any, all, source }: BuildScope): string | undefined {
  if (any && all) return source ? undefined : '-b'
  if (any) return source ? '-G' : '-B'
  if (all) return source ? '-g' : '-A'
  return '-S'
}

function dependencyStep(request: PlanRequest): BuildStep {
  const { profiles, anyAlternative = false } = request.options
  const { tree, toolchain, asked, repository, dependencies } = request.layers
  const ready = repository === undefined ? [] : [repository]
  const chosen = profiles.length === 0 ? [] : ['-P', profiles.join(',')]
  const command = aptCommand([...chosen, 'build-dep', askedPackages], {
    id: 'build-dep',
    title: 'install build dependencies',
    failure: 'DEPENDENCY_UNSATISFIABLE',
    hint: anyAlternative
      ? dependencyHint
      : `${dependencyHint}; --any-alternative has apt look at all alternatives`,
  })
  const below = [tree, ...upper(toolchain), ...ready, asked]
  const root = overlay(below, dependencies, command.id, true)
  return { ...installerStep(command, request, root), phase: 'dependencies' }
}

const dependencyHint =
  'build in a tree of a release that has these packages, or add the package source that has them to the tree'

function unpackSteps(request: PlanRequest): BuildStep[] {
  const { form, control } = request.source
  if (form.kind === 'unpacked') return []
  const step = (id: string, title: string, hint: string, ...command: string[]): BuildStep => ({
    id,
    phase: 'unpack',
    title,
    settings: offlineSettings(request, id, buildDirectory, ['dpkg-source', ...command]),
    failure: 'SOURCE_UNPACK',
    hint,
  })
  const unpack = step(
    'unpack',
    'unpack the source',
    'the source package is broken: get it again, or tell its maintainer',
    '--no-check',
    '-x',
    form.dsc,
    sourceDirectoryName(control),
  )
  if (form.kind === 'package') return [unpack]
  const pack = step(
    'pack',
    'make the source package',
    'the directory is not in a state that dpkg-source accepts; its lines above say why',
    '-b',
    `${sourceDirectory}/${form.name}`,
  )
  return [pack, unpack]
}

/** On a file of its own first: the changelog may be a link, and is read to its end before it is written. */
const prepend = 'cat "$1" debian/changelog >"$2" && cat "$2" >debian/changelog && rm "$2"'

function changelogStep(request: PlanRequest): BuildStep {
  const directory = `${buildDirectory}/${sourceDirectoryName(request.source.control)}`
  const command = ['sh', '-c', prepend, 'prepend', changelogEntryPath, '../changelog.new']
  return {
    id: 'changelog',
    phase: 'unpack',
    title: 'write the changelog entry of the rebuild',
    settings: offlineSettings(request, 'changelog', directory, command),
    failure: 'SOURCE_UNPACK',
    hint: 'the source has no debian/changelog that can be written',
  }
}

function buildStep(request: PlanRequest): BuildStep {
  const { scope, profiles } = request.options
  const option = scopeOption(scope)
  const command = [
    'dpkg-buildpackage',
    '-us',
    '-uc',
    ...(option === undefined ? [] : [option]),
    ...(profiles.length === 0 ? [] : [`-P${profiles.join(',')}`]),
  ]
  return {
    id: 'build',
    phase: 'build',
    title: 'build the packages',
    settings: offlineSettings(
      request,
      'build',
      `${buildDirectory}/${sourceDirectoryName(request.source.control)}`,
      command,
    ),
    failure: 'BUILD_FAILED',
    hint: 'look into the log; --shell-on-failure opens a shell where the build stopped',
    verdict: unmetDependencies,
  }
}

/** dpkg-checkbuilddeps(1) has the last word; apt has been asked before, except where a lock says what is installed. */
function unmetDependencies(_status: number, lines: readonly string[]): Verdict | undefined {
  if (!lines.some((line) => line.startsWith('dpkg-checkbuilddeps: error: Unmet build')))
    return undefined
  return {
    code: 'DEPENDENCY_UNSATISFIABLE',
    hint: 'the lock may be of another version of the source: make another one with --lock',
  }
}

function upper(layer: Writable | undefined): readonly string[] {
  return layer === undefined ? [] : [layer.upper]
}

/** As the build user, without a network, above all layers; what sbuild's builds see. */
function offlineSettings(
  request: PlanRequest,
  name: string,
  directory: string,
  command: readonly string[],
): Settings {
  const { tree, toolchain, dependencies, sources, build } = request.layers
  const { options, user } = request
  const { jobs, buildOptions, profiles } = options
  return builderSettings(request, {
    root: overlay([tree, ...upper(toolchain), dependencies.upper, sources], build, name, false),
    command,
    user,
    directory,
    environment: {
      HOME: homeDirectory,
      // What --sanitize-env sets, which dpkg knows since 1.20 only.
      LC_COLLATE: 'C.UTF-8',
      DEB_BUILD_OPTIONS: [...buildOptions, `parallel=${jobs}`].join(' '),
      ...(profiles.length === 0 ? {} : { DEB_BUILD_PROFILES: profiles.join(' ') }),
    },
    options,
  })
}
