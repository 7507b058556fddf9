/** The steps in which results are tried: installed, removed, purged. Pure. */
import type { Settings } from '../../../settings/settings.ts'
import { builderSettings, overlay, type ContainerFacts } from '../../containers.ts'
import type { BuildLimits } from '../../driver.ts'
import { aptCommand } from '../../installers/apt.ts'
import type { Writable } from '../../layers.ts'
import type { Step, Verdict } from '../../step-runner.ts'
import { installerStep } from '../../toolchain-layer.ts'
import { resultsDirectory } from '../places.ts'

export interface TrialPlace {
  readonly facts: ContainerFacts
  /** Absolute host directories below the trial, the lowest one first. */
  readonly below: readonly string[]
  readonly writable: Writable
  /** For steps that run maintainer scripts. */
  readonly limits: BuildLimits | undefined
  /** Ends the ids of its steps. */
  readonly mark: string
}

/** Paths of the files of packages in the container. */
export function resultPaths(files: readonly string[]): readonly string[] {
  return files.map((file) => `${resultsDirectory}/${file}`)
}

/**
 * Fetches what is needed with a network, then installs without one: maintainer scripts are code of the source.
 *
 * @param words paths or `name=version`, as apt-get takes them
 * @param what for people: "the packages"
 */
export function installSteps(
  place: TrialPlace,
  id: string,
  what: string,
  words: readonly string[],
): readonly Step[] {
  const fetchId = `${id}-fetch${place.mark}`
  const fetch = aptCommand(['--allow-downgrades', '--download-only', 'install', ...words], {
    id: fetchId,
    title: `fetch what ${what} need`,
    failure: 'DEPENDENCY_INSTALL',
  })
  const root = overlay(place.below, place.writable, fetchId, false)
  return [
    {
      ...installerStep(fetch, place.facts, root),
      failure: 'TEST_INSTALL',
      hint: 'the packages were built, and need something that the package sources do not have; the lines above say what',
      verdict: unreachable,
    },
    offline(place, `${id}${place.mark}`, `install ${what}`, [
      ...['--allow-downgrades', 'install'],
      ...words,
    ]),
  ]
}

/** @param names of the packages that were built */
export function removeStep(place: TrialPlace, names: readonly string[]): Step {
  return offline(place, `try-remove${place.mark}`, 'remove the packages', ['remove', ...names])
}

/** @param names of the packages that came with them */
export function purgeOthersStep(place: TrialPlace, names: readonly string[]): Step {
  return offline(
    place,
    `try-purge-others${place.mark}`,
    'purge what was installed with the packages',
    ['--allow-remove-essential', 'purge', ...names],
  )
}

/** @param names of the packages that were built */
export function purgeStep(place: TrialPlace, names: readonly string[]): Step {
  return step(place, `try-purge${place.mark}`, 'purge the packages', {
    command: ['dpkg', '--purge', ...names],
    environment: { DEBIAN_FRONTEND: 'noninteractive' },
  })
}

function offline(place: TrialPlace, id: string, title: string, words: readonly string[]): Step {
  const { command, environment = {} } = aptCommand(words, {
    id,
    title,
    failure: 'DEPENDENCY_INSTALL',
  })
  return step(place, id, title, { command, environment })
}

function step(
  { facts, below, writable, limits }: TrialPlace,
  id: string,
  title: string,
  {
    command,
    environment,
  }: {
    readonly command: readonly string[]
    readonly environment: Readonly<Record<string, string>>
  },
): Step {
  const settings: Settings = {
    ...builderSettings(facts, {
      root: overlay(below, writable, id, false),
      command,
      user: 'root',
      directory: '/',
      environment: { HOME: '/root', ...environment },
      options: { network: 'none', environment: {}, limits },
    }),
    suppressSync: true,
  }
  return {
    id,
    title,
    settings,
    failure: 'TEST_INSTALL',
    hint: 'a maintainer script of the packages has failed; the lines above say which',
  }
}

/** Mirrors are not the packages' fault. */
function unreachable(_status: number, lines: readonly string[]): Verdict | undefined {
  if (!lines.some((line) => /^(E|Err).*(Failed to fetch|Could not|Temporary failure)/.test(line)))
    return undefined
  return { code: 'DEPENDENCY_INSTALL', hint: 'check the network, and try again' }
}
