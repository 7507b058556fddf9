/**
 * The steps of an Arch build, each decided before it runs: what is executed, as whom, with which
 * environment, in which layers, with or without a network. Pure, so that they can be shown and tested.
 */
import type { Settings } from '../../settings/settings.ts'
import { builderSettings, overlay, type ContainerFacts } from '../containers.ts'
import type { BuildOptions } from '../driver.ts'
import type { InstallerCommand } from '../installers/installer.ts'
import { pacmanCommand } from '../installers/pacman.ts'
import type { Writable } from '../layers.ts'
import { buildUserName } from '../places.ts'
import type { Step } from '../step-runner.ts'
import {
  homeDirectory,
  keysDirectory,
  logsDirectory,
  packagesDirectory,
  resultsDirectory,
  sourcePackagesDirectory,
  sourcesDirectory,
  startDirectory,
} from './places.ts'
import { judgeBuild, judgeSources } from './verdicts.ts'

export interface ArchOptions extends BuildOptions {
  /** Whether `check()` runs, and what it needs is installed. */
  readonly check: boolean
  /** The source package as well. */
  readonly sourcePackage: boolean
  /** Name and address of the packager; makepkg writes "Unknown Packager" without one. */
  readonly packager?: string | undefined
  /** Looks at the results with namcap, which decides nothing. */
  readonly namcap: boolean
  /** Installs the results in a root that has nothing else of the build. */
  readonly installCheck: boolean
}

/** Everything that the steps of one build share. */
export interface ArchFacts extends ContainerFacts {
  readonly options: ArchOptions
  /** Seconds since 1970: SOURCE_DATE_EPOCH. */
  readonly sourceDate: number
  /** Of this program: BUILDTOOLVER. */
  readonly toolVersion: string
}

/** Where a step runs. */
export interface Place {
  /** Absolute host directories, the lowest one first. */
  readonly layers: readonly string[]
  readonly writable: Writable
}

/** Asks the PKGBUILD what it is. */
export function inspectStep(facts: ArchFacts, place: Place): Step {
  return {
    id: 'printsrcinfo',
    title: 'read the PKGBUILD',
    settings: offline(facts, place, 'printsrcinfo', ['makepkg', '--printsrcinfo', '--nosign']),
    failure: 'SOURCE_INVALID',
    hint: 'mend the PKGBUILD; the lines above say where',
    verdict: judgeBuild,
  }
}

/** Asks pacman which of these packages are missing; 127 is "some", see pacman(8), "--deptest". */
export function missingStep(facts: ArchFacts, place: Place, dependencies: readonly string[]): Step {
  return {
    id: 'deptest',
    title: 'look for missing dependencies',
    settings: offline(facts, place, 'deptest', ['pacman', '-T', '--', ...dependencies], '/'),
    failure: 'DEPENDENCY_INSTALL',
    hint: 'the package database of the tree may be damaged: make the tree anew',
    accept: [127],
  }
}

/** @param files names in the directory of keys */
export function keysStep(facts: ArchFacts, place: Place, files: readonly string[]): Step {
  const paths = files.map((name) => `${keysDirectory}/${name}`)
  return {
    id: 'keys',
    title: 'import the keys that may have signed the sources',
    settings: offline(facts, place, 'keys', ['gpg', '--batch', '--import', '--', ...paths]),
    failure: 'SOURCE_SIGNATURE',
    hint: 'a key file is broken: get it again',
  }
}

/** @param fetching whether there is something to fetch, and the step needs a network for it */
export function verifyStep(facts: ArchFacts, place: Place, fetching: boolean): Step {
  const command = ['makepkg', '--verifysource', '--noconfirm', '--nosign']
  return {
    id: 'verifysource',
    title: fetching ? 'fetch and check the sources' : 'check the sources',
    settings: settings(facts, place, 'verifysource', command, fetching ? 'host' : 'none'),
    failure: 'SOURCE_FETCH',
    hint: 'the lines above say which source it is',
    verdict: judgeSources,
  }
}

/**
 * Builds. There is no `--nodeps`: makepkg's own look at the dependencies proves that they were all named.
 *
 * @param wishes `sourcesChecked`: when the sources were fetched, so that they need not be once more
 */
export function buildStep(
  facts: ArchFacts,
  place: Place,
  { sourcesChecked }: { readonly sourcesChecked: boolean },
): Step {
  const { check, network } = facts.options
  const command = [
    ...['makepkg', '--noconfirm', '--log', '--holdver', '--nosign', '-f'],
    ...(sourcesChecked ? ['--skipinteg'] : []),
    ...(check ? [] : ['--nocheck']),
  ]
  return {
    id: 'build',
    title: 'build the packages',
    settings: settings(facts, place, 'build', command, network),
    failure: 'BUILD_FAILED',
    hint: 'look into the log; --shell-on-failure opens a shell where the build stopped',
    verdict: judgeBuild,
  }
}

export function sourcePackageStep(facts: ArchFacts, place: Place): Step {
  const command = ['makepkg', '--source', '--noconfirm', '--skipinteg', '--nosign', '-f']
  return {
    id: 'source-package',
    title: 'make the source package',
    settings: offline(facts, place, 'source-package', command),
    failure: 'BUILD_FAILED',
    hint: 'the lines above say which file it is',
    verdict: judgeBuild,
  }
}

/** Reads each archive to its end, and says what the package in it is; the arguments are its only input. */
const lookScript = [
  'for file; do',
  '  bsdtar -tf "$file" >/dev/null || exit',
  '  printf "file = %s\\n" "${file##*/}"',
  '  bsdtar -xOqf "$file" .PKGINFO || exit',
  'done',
].join('\n')

/** @param files names in the directory of results */
export function lookStep(facts: ArchFacts, place: Place, files: readonly string[]): Step {
  const command = ['bash', '-c', lookScript, 'look', ...resultPaths(files)]
  return {
    id: 'look',
    title: 'check that the packages are whole',
    settings: offline(facts, place, 'look', command, '/'),
    failure: 'BUILD_RESULTS',
    hint: 'makepkg has made a package that cannot be read; a program that it needs may be missing',
  }
}

/** As root and with a network, for what the packages need to run is fetched. */
export function installCheckCommand(files: readonly string[]): InstallerCommand {
  return pacmanCommand(['-U', '--', ...resultPaths(files)], {
    id: 'install-check',
    title: 'install the packages',
    failure: 'DEPENDENCY_INSTALL',
    hint: 'the packages were built, but cannot be installed; the lines above say why',
    verdict: () => ({ code: 'TEST_INSTALL' }),
  })
}

export function namcapStep(facts: ArchFacts, place: Place, files: readonly string[]): Step {
  const command = ['namcap', `${startDirectory}/PKGBUILD`, ...resultPaths(files)]
  return {
    id: 'namcap',
    title: 'look for mistakes of packaging',
    settings: offline(facts, place, 'namcap', command, '/'),
    failure: 'BUILD_LINT',
  }
}

function resultPaths(files: readonly string[]): readonly string[] {
  return files.map((name) => `${resultsDirectory}/${name}`)
}

function offline(
  facts: ArchFacts,
  place: Place,
  id: string,
  command: readonly string[],
  directory?: string,
): Settings {
  return settings(facts, place, id, command, 'none', directory)
}

/** As the build user. What makepkg.conf(5) lets the environment decide is decided here. */
function settings(
  facts: ArchFacts,
  { layers, writable }: Place,
  id: string,
  command: readonly string[],
  network: BuildOptions['network'],
  directory = startDirectory,
): Settings {
  const { options, sourceDate, toolVersion } = facts
  const { packager, environment, limits } = options
  return builderSettings(facts, {
    root: overlay(layers, writable, id, false),
    command,
    user: buildUserName,
    directory,
    environment: {
      HOME: homeDirectory,
      BUILDDIR: homeDirectory,
      SRCDEST: sourcesDirectory,
      PKGDEST: packagesDirectory,
      SRCPKGDEST: sourcePackagesDirectory,
      LOGDEST: logsDirectory,
      ...(packager === undefined ? {} : { PACKAGER: packager }),
      SOURCE_DATE_EPOCH: String(sourceDate),
      BUILDTOOL: 'tsnspawn-build',
      BUILDTOOLVER: toolVersion,
    },
    options: { network, environment, limits },
  })
}
