/** Where the packages of an rpm build root come from: the indexes that the package manager has fetched say it. */
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { openPlain } from '../../transfer/decompress.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'
import type {
  InstalledPackage,
  InstallerCommand,
  PackageLocking,
  PackageOrigin,
} from './installer.ts'
import { readRpmRepositories, type RepositoryPlaces } from './rpm-repositories.ts'

/** An entry of an index. */
export type IndexedRpm = InstalledPackage & { readonly origin: PackageOrigin }

/** An entry is as long as its list of files. */
const entryLimit = 64 * 1024 ** 2

/**
 * How packages of the rpm family are found and installed again: by rpm itself, for no manager takes exactly what it is given.
 *
 * @param indexes where the manager keeps its indexes, a directory for each repository
 */
export function rpmLocking(places: RepositoryPlaces, indexes: string): PackageLocking {
  return {
    extension: '.rpm',
    origins: async (packages, { layers }) => {
      const found = await indexedPackages(layers, places, indexes, new Set(packages.map(identity)))
      return packages.map((one) => found.get(identity(one)))
    },
    apply: (paths, removed) => [
      ...(paths.length === 0 ? [] : [installCommand(paths)]),
      ...(removed.length === 0 ? [] : [removeCommand(removed)]),
    ],
  }
}

const hint = 'the lock may be of another tree: make another one with --lock'

/** Older ones too, and in the place of what has the same files; the lock vouches for them, and nothing else is asked. */
function installCommand(paths: readonly string[]): InstallerCommand {
  const options = ['--oldpackage', '--replacepkgs', '--replacefiles', '--nodeps', '--nosignature']
  return {
    id: 'install-locked',
    title: `install ${paths.length} locked packages`,
    command: ['rpm', '-U', ...options, ...paths],
    failure: 'DEPENDENCY_INSTALL',
    hint,
  }
}

function removeCommand(removed: readonly InstalledPackage[]): InstallerCommand {
  const names = removed.map(({ name, version, architecture }) => {
    return `${name}-${version.replace(/^\d+:/, '')}.${architecture}`
  })
  return {
    id: 'remove-unlocked',
    title: `remove ${removed.length} packages that the lock does not have`,
    command: ['rpm', '-e', '--nodeps', ...names],
    failure: 'DEPENDENCY_INSTALL',
    hint,
  }
}

async function indexedPackages(
  layers: readonly string[],
  places: RepositoryPlaces,
  indexes: string,
  wanted: ReadonlySet<string>,
): Promise<ReadonlyMap<string, PackageOrigin>> {
  const found = new Map<string, PackageOrigin>()
  const repositories = await readRpmRepositories(layers.at(-1) ?? '', places)
  for (const layer of layers) {
    for (const name of await listTreeDirectory(layer, indexes)) {
      // dnf puts a digest of its addresses behind the name of a repository.
      const names = [name, name.replace(/-[0-9a-f]{16}$/, '')]
      const repository = repositories.find(({ id }) => names.includes(id))
      if (repository === undefined) continue
      const directory = `${indexes}/${name}`
      const base = repository.baseUrls[0] ?? (await mirrorOf(layer, directory))
      const index = await primaryIndex(layer, directory)
      if (base === undefined || index === undefined) continue
      for await (const one of readPrimary(index, base)) {
        const id = identity(one)
        if (wanted.has(id) && !found.has(id)) found.set(id, one.origin)
      }
    }
  }
  return found
}

/** The first mirror that the manager has been told of. */
async function mirrorOf(layer: string, directory: string): Promise<string | undefined> {
  const metalink = (await readTreeFile(layer, `${directory}/metalink.xml`)) ?? ''
  const place = /<url[^>]*>\s*(https?:\/\/[^<\s]+)\/repodata\/repomd\.xml\s*<\/url>/.exec(metalink)
  if (place !== null) return place[1]
  const list = (await readTreeFile(layer, `${directory}/mirrorlist`)) ?? ''
  return list
    .split('\n')
    .find((line) => /^https?:\/\//.test(line.trim()))
    ?.trim()
}

async function primaryIndex(layer: string, directory: string): Promise<string | undefined> {
  const repodata = `${directory}/repodata`
  const names = await listTreeDirectory(layer, repodata)
  const name = names.find((one) => /(^|-)primary\.xml(\.\w+)?$/.test(one))
  return name === undefined ? undefined : findInTree(layer, join(repodata, name))
}

async function* readPrimary(path: string, base: string): AsyncGenerator<IndexedRpm> {
  const { chunks } = await openPlain(createReadStream(path))
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of chunks) {
    const entries = (rest + decoder.decode(chunk, { stream: true })).split('</package>')
    rest = entries.pop() ?? ''
    if (rest.length > entryLimit) return
    for (const entry of entries) {
      const one = parseEntry(entry, base)
      if (one !== undefined) yield one
    }
  }
}

/**
 * Reads the element of a package in `primary.xml`, as createrepo_c(8) writes it; without a sha256 it is of no use.
 *
 * @param base URL of the repository
 */
export function parseEntry(text: string, base: string): IndexedRpm | undefined {
  const [, name] = /<name>([^<]+)<\/name>/.exec(text) ?? []
  const [, architecture] = /<arch>([^<]+)<\/arch>/.exec(text) ?? []
  const version = attributes(/<version\s([^>]*)>/.exec(text)?.[1])
  const location = attributes(/<location\s([^>]*)>/.exec(text)?.[1])
  const size = attributes(/<size\s([^>]*)>/.exec(text)?.[1])
  const [, sha256] = /<checksum\s[^>]*type="sha256"[^>]*>\s*([0-9a-f]{64})\s*</.exec(text) ?? []
  const [ver, rel, href] = [version.get('ver'), version.get('rel'), location.get('href')]
  if (name === undefined || architecture === undefined || ver === undefined || rel === undefined)
    return undefined
  if (sha256 === undefined || href === undefined) return undefined
  const epoch = version.get('epoch') ?? '0'
  const top = (location.get('xml:base') ?? base).replace(/\/+$/, '')
  const place = href.split('/').map(encodeURIComponent).join('/')
  return {
    name: plain(name),
    version: `${epoch === '0' ? '' : `${epoch}:`}${ver}-${rel}`,
    architecture,
    origin: { url: `${top}/${place}`, sizeBytes: Number(size.get('package') ?? NaN), sha256 },
  }
}

function attributes(text: string | undefined): ReadonlyMap<string, string> {
  const pairs = (text ?? '').matchAll(/([\w:]+)="([^"]*)"/g)
  return new Map([...pairs].map(([, name = '', value = '']) => [name, plain(value)]))
}

const entities: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
}

function plain(text: string): string {
  return text.replaceAll(/&\w+;/g, (entity) => entities[entity] ?? entity)
}

/** An epoch of nothing is none. */
function identity({ name, version, architecture }: InstalledPackage): string {
  return `${name} ${version.replace(/^0:/, '')} ${architecture}`
}
