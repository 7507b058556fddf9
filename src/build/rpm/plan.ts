/**
 * The steps of an rpm build, decided before each runs: what is executed, as whom, above which layers, with
 * or without a network. Pure, so that it can be shown and tested.
 */
import { quote } from '../build-log.ts'
import { builderSettings, overlay, type ContainerFacts } from '../containers.ts'
import type { BuildOptions } from '../driver.ts'
import type { Writable } from '../layers.ts'
import { buildUserName } from '../places.ts'
import type { Step, Verdict } from '../step-runner.ts'
import {
  homeDirectory,
  originalsDirectory,
  requiresDirectory,
  requiresPackage,
  sourcePackagesDirectory,
  specsDirectory,
  topDirectory,
} from './places.ts'
import { productsFormat } from './products.ts'
import { factsFormat, requirementsFormat, specMark } from './spec-facts.ts'

export interface RpmBuildOptions extends BuildOptions {
  /** Run `%check`. */
  readonly check: boolean
  /** Features by name, as in `--with NAME`. */
  readonly with: readonly string[]
  readonly without: readonly string[]
  /** Macros: a name, a blank, and the value. */
  readonly defines: readonly string[]
  /** Install the results above the toolchain. */
  readonly installCheck: boolean
  /** Have rpmlint look at the results. */
  readonly rpmlint: boolean
}

export interface RpmFacts extends ContainerFacts {
  readonly options: RpmBuildOptions
}

/** Where a step runs. */
export interface Place {
  /** Absolute host directories, the lowest one first. */
  readonly layers: readonly string[]
  readonly writable: Writable
}

/** rpmbuild(8): 11 says that more build dependencies were found. */
export const moreRequired = 11

/** Checks that a source package is whole. */
export function wholeStep(facts: RpmFacts, place: Place, name: string): Step {
  return {
    ...offline(facts, place, 'whole', ['rpmkeys', '-K', '--nosignature', original(name)]),
    title: 'check the source package',
    failure: 'SOURCE_CHECKSUM',
    hint: 'the file is damaged: get it again',
  }
}

/** Asks who has signed a source package; that nobody has is no failure. */
export function signatureStep(facts: RpmFacts, place: Place, name: string): Step {
  return {
    ...offline(facts, place, 'signature', ['rpmkeys', '-K', '-v', original(name)]),
    title: 'look for signatures',
    failure: 'SOURCE_SIGNATURE',
    accept: [1],
  }
}

/** Unpacks a source package below rpmbuild's top. */
export function unpackStep(facts: RpmFacts, place: Place, name: string): Step {
  return {
    ...offline(facts, place, 'unpack', ['rpm', '-i', '--nodeps', original(name)]),
    title: 'unpack the source package',
    failure: 'SOURCE_UNPACK',
    hint: 'the source package is broken: get it again, or tell its maintainer',
  }
}

/**
 * Has rpm expand a spec; `parseSpecFacts()` reads what it prints.
 *
 * @param id unique among the steps of a build
 */
export function inspectStep(facts: RpmFacts, place: Place, spec: string, id: string): Step {
  const path = `${specsDirectory}/${spec}`
  const query = [
    'rpmspec',
    '-q',
    '--srpm',
    ...definitions(facts.options),
    '--qf',
    factsFormat,
    path,
  ]
  const expand = ['rpmspec', '-P', ...definitions(facts.options), path]
  const mark = ['echo', specMark]
  const script = [query, mark, expand].map((words) => words.map(quote).join(' ')).join(' && ')
  return {
    ...offline(facts, place, id, ['sh', '-c', script]),
    title: 'read the spec',
    failure: 'SOURCE_INVALID',
    hint: 'rpm cannot read the spec with the macros of this tree; its lines above say why',
  }
}

/** Has rpm tell what comes of a spec, and expand it; `parseProducts()` reads what it prints. */
export function productsStep(facts: RpmFacts, place: Place, spec: string): Step {
  const words = [...definitions(facts.options), `${specsDirectory}/${spec}`]
  const query = ['rpmspec', '-q', '--builtrpms', '--qf', productsFormat, ...words]
  const script = [query, ['echo', specMark], ['rpmspec', '-P', ...words]]
    .map((one) => one.map(quote).join(' '))
    .join(' && ')
  return {
    ...offline(facts, place, 'products', ['sh', '-c', script]),
    title: 'see what the spec makes',
    failure: 'SOURCE_INVALID',
    hint: 'rpm cannot read the spec with the macros of this tree; its lines above say why',
  }
}

/** Makes the package that requires what the build does; nothing of the source is in its container. */
export function requiresStep(facts: RpmFacts, place: Place, id: string): Step {
  const options = { ...facts.options, network: 'none', environment: {} } as const
  const command = [
    ...['rpmbuild', '-bb', '--nodeps'],
    ...['_topdir', '_rpmdir'].flatMap((name) => ['--define', `${name} ${requiresDirectory}`]),
    ...['--define', `_rpmfilename ${requiresPackage.slice(requiresDirectory.length + 1)}`],
    `${requiresDirectory}/requires.spec`,
  ]
  return {
    ...offline({ ...facts, options }, place, id, command, requiresDirectory),
    title: 'write the build dependencies down',
    failure: 'SOURCE_INVALID',
    hint: 'one of the dependencies is none that rpm understands',
  }
}

/** Makes the source package, with the build dependencies that it has here; `isDynamic()` reads what it prints. */
export function sourcePackageStep(facts: RpmFacts, place: Place, spec: string): Step {
  const query = `rpm -qp --nosignature --requires ${sourcePackagesDirectory}/*src.rpm`
  return {
    ...rpmbuild(facts, place, 'source-package', ['-bs', '--nodeps'], spec, query),
    title: 'make the source package',
    failure: 'SOURCE_INVALID',
    hint: 'the spec and its sources do not fit together; the lines above say why',
  }
}

/**
 * Runs `%prep` and `%generate_buildrequires`, which leave a package in the directory of source packages.
 *
 * @param first runs `%prep` too
 */
export function generateStep(
  facts: RpmFacts,
  place: Place,
  spec: string,
  round: number,
  first: boolean,
): Step {
  const mode = ['-br', '--nodeps', ...(first ? [] : ['--noprep'])]
  return {
    ...rpmbuild(facts, place, `generate-${round}`, mode, spec),
    title: 'ask the source for build dependencies',
    failure: 'BUILD_FAILED',
    hint: failedHint,
    accept: [moreRequired],
  }
}

/** Reads what was generated, and removes it. */
export function generatedStep(facts: RpmFacts, place: Place, name: string, round: number): Step {
  const path = quote(`${sourcePackagesDirectory}/${name}`)
  const script = `rpm -qp --nosignature --qf ${quote(requirementsFormat)} ${path} && rm -f ${path}`
  return {
    ...offline(facts, place, `generated-${round}`, ['sh', '-c', script]),
    title: 'read the generated build dependencies',
    failure: 'BUILD_FAILED',
    hint: failedHint,
  }
}

/**
 * The build.
 *
 * @param how `dynamic`: the source has been prepared, and what it generates has been installed; `locked`: nobody has
 *   asked whether all is there
 */
export function buildStep(
  facts: RpmFacts,
  place: Place,
  spec: string,
  { dynamic, locked }: { readonly dynamic: boolean; readonly locked: boolean },
): Step {
  const { check } = facts.options
  // With dependencies checked where some are generated: one that comes late must be seen.
  const mode = dynamic ? ['-ba', '--noprep'] : ['-bb', ...(locked ? [] : ['--nodeps'])]
  return {
    ...rpmbuild(facts, place, 'build', [...mode, ...(check ? [] : ['--nocheck'])], spec),
    title: 'build the packages',
    failure: 'BUILD_FAILED',
    hint: failedHint,
    verdict: unmetDependencies,
  }
}

/** rpmbuild has the last word; where a lock says what is installed, it is the first to look. */
function unmetDependencies(_status: number, lines: readonly string[]): Verdict | undefined {
  if (!lines.some((line) => line.startsWith('error: Failed build dependencies'))) return undefined
  return {
    code: 'DEPENDENCY_UNSATISFIABLE',
    hint: 'the lock may be of another version of the source: make another one with --lock',
  }
}

/**
 * Checks results, and prints `package` and the name that each should have, in the order of `paths`.
 *
 * @param paths absolute in the container; plain
 */
export function resultsStep(facts: RpmFacts, place: Place, paths: readonly string[]): Step {
  const format = 'package %{NAME}-%{VERSION}-%{RELEASE}.%|SOURCERPM?{%{ARCH}}:{src}|.rpm\\n'
  const whole = ['rpmkeys', '-K', '--nosignature', ...paths]
  const query = ['rpm', '-qp', '--nosignature', '--qf', format, ...paths]
  const script = [whole, query].map((words) => words.map(quote).join(' ')).join(' && ')
  return {
    ...offline(facts, place, 'results', ['sh', '-c', script], '/'),
    title: 'check the packages',
    failure: 'BUILD_RESULTS',
    hint: 'what the build has left is no package that rpm can read',
  }
}

/** What rpmlint says; it ends with 64 or 66 where it has found faults. */
export function rpmlintStep(facts: RpmFacts, place: Place, paths: readonly string[]): Step {
  return {
    ...offline(facts, place, 'rpmlint', ['rpmlint', ...paths], '/'),
    title: 'look at the packages with rpmlint',
    failure: 'BUILD_RESULTS',
    accept: [64, 66],
  }
}

const failedHint = 'look into the log; --shell-on-failure opens a shell where the build stopped'

/** As macros of their own names, which every program of rpm understands. */
export function definitions({ defines, ...options }: RpmBuildOptions): readonly string[] {
  const features = [
    ...options.with.map((name) => `_with_${name} --with-${name}`),
    ...options.without.map((name) => `_without_${name} --without-${name}`),
  ]
  return [...features, ...defines].flatMap((one) => ['--define', one])
}

function original(name: string): string {
  return `${originalsDirectory}/${name}`
}

/** rpmbuild with the environment that the tree has for those who log in, as mock's builds. */
function rpmbuild(
  facts: RpmFacts,
  place: Place,
  id: string,
  mode: readonly string[],
  spec: string,
  after?: string,
): Pick<Step, 'id' | 'settings'> {
  // Where the build has another path its macros still name the usual one.
  const top = facts.varied?.has('path') === true ? ['--define', `_topdir ${topDirectory}`] : []
  const options = [...mode, ...top, ...definitions(facts.options)]
  const words = ['rpmbuild', ...options, `${specsDirectory}/${spec}`]
  const call = words.map(quote).join(' ')
  const script = after === undefined ? `exec ${call}` : `${call} && ${after}`
  return offline(facts, place, id, ['bash', '--login', '-c', script])
}

/** As the build user, without a network. */
function offline(
  facts: RpmFacts,
  { layers, writable }: Place,
  id: string,
  command: readonly string[],
  home: string = homeDirectory,
): Pick<Step, 'id' | 'settings'> {
  const { options } = facts
  const settings = builderSettings(facts, {
    root: overlay(layers, writable, id, false),
    command,
    user: buildUserName,
    directory: home === homeDirectory ? topDirectory : home,
    environment: { HOME: home, RPM_BUILD_NCPUS: String(options.jobs) },
    options,
  })
  return { id, settings }
}
