/**
 * What decides the contents of a build's layers: the tree, the package indexes as their signed Release
 * files name them, and what the source asks for.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { fetchText } from '../../transfer/download.ts'
import { parseUrl } from '../../transfer/url.ts'
import type { BaseTree } from '../base-tree.ts'
import { layerKey } from '../layers.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'
import { readAptSuites } from './apt-sources.ts'
import type { DebianBuildOptions } from './plan.ts'
import type { SourceControl } from './source-control.ts'

/** Grows whenever the driver fills layers in another way. */
const layerVersion = 1

const releaseLimitBytes = 32 * 1024 ** 2

/** Digests of the Release files that a tree's suites have now, or that a layer was made with. */
export type IndexIdentity = readonly string[]

/**
 * Asks the mirrors of the tree. Nothing is verified, nor need it be: the digests only find a layer for
 * which apt has verified these very files.
 *
 * @returns `undefined` where that cannot be known: flat or local repositories, a mirror out of reach
 */
export async function currentIndexes(
  tree: string,
  signal: AbortSignal | undefined,
): Promise<IndexIdentity | undefined> {
  try {
    const suites = await readAptSuites(tree)
    const digests = suites.map(async ({ uri, suite }) => {
      if (suite.endsWith('/')) throw new NspawnError('a flat repository', { code: 'NO_IDENTITY' })
      const url = parseUrl(`${uri.replace(/\/+$/, '')}/dists/${suite}/InRelease`)
      return digest(await fetchText({ url, maxBytes: releaseLimitBytes, retries: 1, signal }))
    })
    return suites.length === 0 ? undefined : (await Promise.all(digests)).toSorted()
  } catch (error) {
    if (error instanceof NspawnError && error.code !== 'CANCELED') return undefined
    throw error
  }
}

/** The same of the indexes that apt fetched into a layer. */
export async function layerIndexes(upper: string): Promise<IndexIdentity | undefined> {
  const place = findInTree(upper, 'var/lib/apt/lists')
  if (place === undefined) return undefined
  const names = (await readdir(place)).filter((name) => name.endsWith('_InRelease'))
  const digests = names.map(async (name) => digest(await readFile(join(place, name), 'utf8')))
  return names.length === 0 ? undefined : (await Promise.all(digests)).toSorted()
}

export async function toolchainKey(base: BaseTree, indexes: IndexIdentity): Promise<string> {
  const { path } = base
  const { dev, ino } = await stat(path)
  // A layer's copy of an account file hides the tree's; apt's configuration decides what it installs.
  const names = ['etc/passwd', 'etc/group', 'etc/shadow', 'etc/gshadow', 'var/lib/dpkg/arch']
  for (const directory of ['etc/apt', ...aptDirectories]) {
    const entries = await listTreeDirectory(path, directory)
    names.push(...entries.map((name) => `${directory}/${name}`))
  }
  const files = names.map(async (name) => [name, digest((await readTreeFile(path, name)) ?? '')])
  const inputs = [path, dev, ino, base.identity, await Promise.all(files), indexes]
  return layerKey(['debian toolchain', layerVersion, ...inputs])
}

const aptDirectories = [
  'sources.list.d',
  'apt.conf.d',
  'preferences.d',
  'trusted.gpg.d',
  'keyrings',
].map((name) => `etc/apt/${name}`)

export function dependencyKey(
  toolchain: string,
  { buildDepends }: SourceControl,
  options: DebianBuildOptions,
): string {
  const { scope, profiles } = options
  const only = scope.any === scope.all ? 'all' : scope.any ? 'arch' : 'indep'
  const wanted = Object.entries(buildDepends)
    .map(([field, value]) => `${field}: ${relations(value).join(', ')}`)
    .toSorted()
  return layerKey([
    'debian dependencies',
    layerVersion,
    toolchain,
    wanted,
    only,
    profiles.toSorted(),
  ])
}

/** Order and blanks do not matter to apt. */
function relations(value: string): string[] {
  return value
    .split(',')
    .map((one) => one.trim().replaceAll(/\s+/g, ' '))
    .filter((one) => one !== '')
    .toSorted()
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
