/** What of the host a strategy may name on a command line: its programs see that, wherever they run. */
import { existsSync, realpathSync } from 'node:fs'
import type { Archive } from './archives/archive.ts'
import type { StrategyPaths } from './strategy.ts'
import { trustedFiles } from './trusted-files.ts'

export interface NamedPlaces {
  readonly written: readonly string[]
  /** Those that are there. */
  readonly read: readonly string[]
}

/** The directories of a run, local archives, and the keyrings that the user named. */
export function namedPlaces(paths: StrategyPaths, archive: Archive): NamedPlaces {
  const read = new Set([paths.templates, ...localPlaces(archive)])
  return {
    written: [paths.tree, paths.packages, paths.temporary],
    read: [...read].filter((path) => existsSync(path)),
  }
}

/** What the user names lies on the host. */
export function namedKeyrings(archive: Archive): string[] {
  const here = { hasFile: existsSync }
  return trustedFiles(archive, here, here)
    .filter(({ namedBy }) => namedBy === 'user')
    .map(({ path }) => path)
}

/** Directories of local mirrors, and the keyrings that the user named. */
function localPlaces(archive: Archive): string[] {
  const places = [archive.mirror, ...otherUrls(archive)].flatMap((url) => {
    // Below the first part that a tool will fill in.
    const path = /^(?:file|copy):\/\/([^$]*)/.exec(url)?.[1]
    return path === undefined ? [] : [path.replace(/\/+$/, '')]
  })
  return [...places, ...namedKeyrings(archive)]
}

function otherUrls(archive: Archive): string[] {
  switch (archive.family) {
    case 'apt':
      return [
        ...archive.extraSuites,
        ...archive.repositories.map(({ uri }) => ({ mirror: uri })),
      ].map(({ mirror }) => mirror)
    case 'pacman':
      return archive.repositories.flatMap(({ server, otherServers = [] }) => [
        server,
        ...otherServers,
      ])
    case 'rpm':
      return archive.repositories.map(({ source }) => source.url)
  }
}

const shared = ['/tmp', '/var/tmp'] as const

/**
 * Those of the places that would vanish below a private /tmp and /var/tmp, by the names that they have and those that
 * they really have; what lies in another one of them is not named again. A whole directory that is named is not private then.
 */
export function placesBelowTemporary({ written, read }: NamedPlaces): string[] {
  const all = new Set([...written, ...read].flatMap((path) => [path, realpathSync(path)]))
  const below = (path: string, directory: string) => path.startsWith(`${directory}/`)
  return [...all]
    .filter((path) => shared.some((directory) => path === directory || below(path, directory)))
    .filter((path) => ![...all].some((other) => below(path, other)))
}
