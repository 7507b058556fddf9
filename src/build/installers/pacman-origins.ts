/** Where the packages of an Arch build root come from: the databases that pacman has fetched say it. */
import { createReadStream } from 'node:fs'
import { openPlain } from '../../transfer/decompress.ts'
import { TarReader } from '../../transfer/tar/reader.ts'
import { findInTree } from '../tree-path.ts'
import type { InstalledPackage, PackageOrigin, RootPlaces } from './installer.ts'
import { readPacmanSetup } from './pacman-repositories.ts'

/** A description is a few kilobytes. */
const descriptionLimitBytes = 1024 ** 2

/** As `PackageLocking.origins`. */
export async function pacmanOrigins(
  packages: readonly InstalledPackage[],
  { layers }: RootPlaces,
): Promise<readonly (PackageOrigin | undefined)[]> {
  const wanted = new Set(packages.map(identity))
  const found = new Map<string, PackageOrigin>()
  const tree = layers.at(-1) ?? ''
  const { repositories } = await readPacmanSetup(tree)
  for (const { name, servers } of repositories) {
    const database = layers
      .map((layer) => findInTree(layer, `var/lib/pacman/sync/${name}.db`))
      .find((path) => path !== undefined)
    const [server] = servers
    if (database === undefined || server === undefined) continue
    await readDescriptions(database, (text) => {
      const entry = parseDescription(text, server)
      if (entry === undefined) return
      const id = identity(entry)
      // The first repository counts, as for pacman.
      if (wanted.has(id) && !found.has(id)) found.set(id, entry.origin)
    })
  }
  return packages.map((one) => found.get(identity(one)))
}

/** Reads an entry of a database of packages, see libalpm's `be_sync.c`; without a SHA256 it is of no use. */
export function parseDescription(
  text: string,
  server: string,
): (InstalledPackage & { readonly origin: PackageOrigin }) | undefined {
  const field = (title: string) => new RegExp(`^%${title}%\\n(.+)$`, 'm').exec(text)?.[1]
  const titles = ['NAME', 'VERSION', 'FILENAME', 'CSIZE', 'SHA256SUM']
  const [name, version, file, size, sha256] = titles.map(field)
  if (name === undefined || version === undefined || file === undefined) return undefined
  if (sha256 === undefined || size === undefined || file.includes('/')) return undefined
  // A colon in a name would be one of a scheme, a plus may be read as a blank.
  const url = `${server.replace(/\/+$/, '')}/${encodeURIComponent(file)}`
  const origin = { url, sizeBytes: Number(size), sha256 }
  return { name, version, architecture: field('ARCH') ?? 'any', origin }
}

async function readDescriptions(path: string, take: (text: string) => void): Promise<void> {
  let pieces: Buffer[] | undefined
  const reader = new TarReader(
    {
      begin: ({ type, path: name, stored }) => {
        const wanted = type === 'file' && name.endsWith('/desc') && stored <= descriptionLimitBytes
        pieces = wanted ? [] : undefined
      },
      data: (bytes) => void pieces?.push(Buffer.from(bytes)),
      end: () => {
        if (pieces !== undefined) take(Buffer.concat(pieces).toString('utf8'))
        pieces = undefined
      },
    },
    { end: 'optional', warn: () => {} },
  )
  const plain = await openPlain(createReadStream(path))
  for await (const chunk of plain.chunks) reader.push(chunk)
  reader.finish()
}

function identity({ name, version, architecture }: InstalledPackage): string {
  return `${name} ${version} ${architecture}`
}
