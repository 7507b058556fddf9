/** Where the packages of a Debian build root come from: apt's own indexes say it, in a container without a network. */
import type { InstalledPackage, PackageOrigin, RootPlaces } from './installer.ts'

/** A package as apt and dpkg want it named where there may be more than one architecture. */
export function dpkgName(name: string, architecture: string): string {
  return architecture === 'all' ? name : `${name}:${architecture}`
}

/** As `PackageLocking.origins`. */
export async function aptOrigins(
  packages: readonly InstalledPackage[],
  { ask }: Pick<RootPlaces, 'ask'>,
): Promise<readonly (PackageOrigin | undefined)[]> {
  const argument = ({ name, version, architecture }: InstalledPackage) =>
    `${dpkgName(name, architecture)}=${version}`
  // "download" gives up at the first package that is in no index; "show" has dpkg's own account of it then.
  const shown = knownToIndexes(await ask(['apt-cache', 'show', ...packages.map(argument)]))
  const known = packages.filter((one) => shown.has(identity(one)))
  if (known.length === 0) return packages.map(() => undefined)
  const options = ['-qq', '-o', 'Acquire::ForceHash=SHA256', '--print-uris']
  const uris = parseUris(await ask(['apt-get', ...options, 'download', ...known.map(argument)]))
  return packages.map((one) => uris.get(identity(one)))
}

/** Names, versions and architectures in what `apt-cache show` prints, of those that an archive has. */
export function knownToIndexes(lines: readonly string[]): ReadonlySet<string> {
  const known = new Set<string>()
  let fields = new Map<string, string>()
  for (const line of [...lines, '']) {
    const [, field = '', value = ''] = /^(\w[\w-]*): (.*)$/.exec(line) ?? []
    if (field !== '') fields.set(field, value)
    if (line !== '') continue
    const [name = '', version = '', architecture = ''] = ['Package', 'Version', 'Architecture'].map(
      (one) => fields.get(one),
    )
    if (fields.has('Filename')) known.add(identity({ name, version, architecture }))
    fields = new Map()
  }
  return known
}

/**
 * Reads what `apt-get download --print-uris` prints: `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:HASH`, with
 * `%3a` for the colon of a version.
 *
 * @returns by name, version and architecture; without those that have no SHA256
 */
export function parseUris(lines: readonly string[]): ReadonlyMap<string, PackageOrigin> {
  const found = new Map<string, PackageOrigin>()
  for (const line of lines) {
    const [, url, file = '', size, sha256] =
      /^'([^']+)' (\S+)\.deb (\d+) SHA256:([0-9a-f]{64})$/.exec(line) ?? []
    const [name = '', version = '', architecture = ''] = file.split('_').map(decodeURIComponent)
    if (url === undefined || sha256 === undefined) continue
    found.set(identity({ name, version, architecture }), { url, sizeBytes: Number(size), sha256 })
  }
  return found
}

function identity({ name, version, architecture }: InstalledPackage): string {
  return `${name} ${version} ${architecture}`
}
