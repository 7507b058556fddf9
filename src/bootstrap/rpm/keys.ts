/** Keys that sign the packages of a distribution: where hosts have them, and in the form that rpm's tools read. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { missing } from '../../read-if-there.ts'
import type { RpmKey } from '../../recipe.ts'
import { hasExpired, readKeyring } from '../../transfer/open-pgp.ts'
import type { RpmArchive } from '../archives/rpm.ts'
import type { BootstrapHost } from '../host.ts'
import type { Obstacle, TreeDraft } from '../plan.ts'

/** Laid out by distribution: the package distribution-gpg-keys. */
const sortedKeys = '/usr/share/distribution-gpg-keys'

/** The host's own, whose names need not be a distribution's alone: Fedora and its family, openSUSE. */
const ownKeys = ['/etc/pki/rpm-gpg', '/usr/lib/rpm/gnupg/keys']

/** systemd's, with the keys that images and packages of many distributions are signed by. */
const importKeyrings = [
  '/etc/systemd/import-pubring.pgp',
  '/etc/systemd/import-pubring.gpg',
  '/usr/lib/systemd/import-pubring.pgp',
  '/usr/lib/systemd/import-pubring.gpg',
]

interface KeyPlace {
  readonly path: string
  /** Which of its keys; undefined means all. */
  readonly user: string | undefined
}

type Files = Pick<BootstrapHost, 'hasFile'>

/** None of the tools goes on without a key unless it is told to; we say so before they start. */
export function rpmKeyObstacle(
  { signatures, archive }: TreeDraft<RpmArchive>,
  host: Files,
): Obstacle | undefined {
  if (signatures === 'ignored') return undefined
  const { keyring, keys } = archive
  if (keyring !== undefined) {
    if (host.hasFile(keyring)) return undefined
    return { reason: `there is no keyring ${keyring} to check packages with` }
  }
  if (keys.some((key) => placeOf(key, host) !== undefined)) return undefined
  return {
    reason: `this host has no key of the distribution: ${keys.map(({ file }) => basename(file)).join(', ')}`,
    hint: 'install the package distribution-gpg-keys, or name a file with the key with --keyring',
  }
}

/**
 * Writes the keys that may sign packages into `directory`, one armoured file each: rpm imports no others.
 *
 * @returns absolute paths; none when signatures are ignored
 * @throws NspawnError `BOOTSTRAP_SIGNATURE` when a key has expired or there is none, `INVALID_KEYRING`
 */
export async function writeRpmKeys(
  { signatures, archive }: TreeDraft<RpmArchive>,
  host: Files,
  directory: string,
): Promise<string[]> {
  if (signatures === 'ignored') return []
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  const places =
    archive.keyring === undefined
      ? archive.keys.map((key) => placeOf(key, host)).filter((place) => place !== undefined)
      : [{ path: archive.keyring, user: undefined }]
  const written = new Set<string>()
  let unusable: string | undefined
  for (const { path, user } of places) {
    for (const key of await readKeyring(path)) {
      if (user !== undefined && !key.getUserIDs().some((id) => id.includes(user))) continue
      const id = key.getKeyID().toHex()
      if (await hasExpired(key)) {
        unusable = `key ${id} of ${path} has expired`
        continue
      }
      if (await key.isRevoked()) {
        unusable = `key ${id} of ${path} is revoked`
        continue
      }
      const file = join(directory, `${id}.asc`)
      writeFileSync(file, key.armor())
      written.add(file)
    }
  }
  if (written.size > 0) return [...written]
  throw new NspawnError(unusable ?? 'there is no key to check packages with', {
    code: 'BOOTSTRAP_SIGNATURE',
    subject: places.map(({ path }) => path).join(', '),
    hint: 'name a file with the right key with --keyring, or update the package that brings this one',
  })
}

/** Files of this host that have the keys of the distribution, as far as it has them. */
export function rpmKeyFiles({ keys }: Pick<RpmArchive, 'keys'>, host: Files): string[] {
  const places = keys.map((key) => placeOf(key, host)).filter((place) => place !== undefined)
  return [...new Set(places.map(({ path }) => path))]
}

/** Where this host has the key; what is meant for it by name comes before what has many. */
function placeOf({ file, user }: RpmKey, host: Files): KeyPlace | undefined {
  const own = ownKeys.map((directory) => join(directory, basename(file)))
  const named = [join(sortedKeys, file), ...own].find((path) => host.hasFile(path))
  if (named !== undefined) return { path: named, user: undefined }
  if (user === undefined) return undefined
  const ring = importKeyrings.find((path) => host.hasFile(path) && mentions(path, user))
  return ring === undefined ? undefined : { path: ring, user }
}

/** User ids stand in binary keyrings as they are, RFC 9580 §5.11. */
function mentions(path: string, user: string): boolean {
  try {
    return readFileSync(path).includes(user)
  } catch (error) {
    missing(error)
    return false
  }
}
