/** Whom an archive is trusted by: every file with keys that counts when a tree is made from it, of whatever family. */
import type { Archive } from './archives/archive.ts'
import type { BootstrapHost } from './host.ts'
import { besideKeyring, findKeyring } from './pacman/keyring.ts'
import { rpmKeyFiles } from './rpm/keys.ts'
import { repositoryKeyrings } from './strategies/keyring-obstacle.ts'

export interface TrustedFile {
  /** Absolute; what an archive only might have need not be there. */
  readonly path: string
  /** `user`: somebody has named it, so it lies on the host, wherever programs run. */
  readonly namedBy: 'user' | 'distribution'
  /** `programs`: it lies where programs run, on the host or in a tree of tools. */
  readonly place: 'host' | 'programs'
}

/** @param programs where programs run */
export function trustedFiles(
  archive: Archive,
  programs: Pick<BootstrapHost, 'hasFile'>,
  host: Pick<BootstrapHost, 'hasFile'>,
): TrustedFile[] {
  switch (archive.family) {
    case 'apt': {
      const main =
        archive.keyringFrom === 'option' ? named(archive.keyring) : [inPlace(archive.keyring)]
      return [...main, ...repositoryKeyrings(archive).flatMap(named)]
    }
    case 'pacman': {
      if (archive.keyring !== undefined)
        return [archive.keyring, ...besideKeyring(archive.keyring)].flatMap(named)
      const main = findKeyring(archive, programs)
      return main === undefined ? [] : [main, ...besideKeyring(main)].map(inPlace)
    }
    case 'rpm':
      if (archive.keyring !== undefined) return named(archive.keyring)
      // Handed over from the host, for trees of tools have keys of Debian only.
      return rpmKeyFiles(archive, host).map((path) => ({
        path,
        namedBy: 'distribution',
        place: 'host',
      }))
  }
}

function named(path: string): [TrustedFile] {
  return [{ path, namedBy: 'user', place: 'host' }]
}

function inPlace(path: string): TrustedFile {
  return { path, namedBy: 'distribution', place: 'programs' }
}
