/** Where a tree of the rpm family gets its packages from, and what these places have now. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'
import { readOsRelease } from '../../images/os-release.ts'
import { fetchBytes } from '../../transfer/download.ts'
import { parseUrl } from '../../transfer/url.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'
import type { IndexIdentity } from './installer.ts'

export interface RpmRepository {
  readonly id: string
  /** Variables are expanded in all of them; empty where there are none. */
  readonly baseUrls: readonly string[]
  readonly mirrorList: string | undefined
  readonly metalink: string | undefined
}

export interface RepositoryPlaces {
  /** Directories of `.repo` files, relative to the root. */
  readonly directories: readonly string[]
  /** Other files that may have repositories. */
  readonly files: readonly string[]
  /** Directories with a file for each variable. */
  readonly variables: readonly string[]
}

const limitBytes = 16 * 1024 ** 2

/** The enabled repositories of the tree at `root`, in the order of its files. */
export async function readRpmRepositories(
  root: string,
  places: RepositoryPlaces,
): Promise<readonly RpmRepository[]> {
  const variables = await readVariables(root, places.variables)
  const expand = (text: string) => expandVariables(text, variables)
  const paths = [...places.files]
  for (const directory of places.directories) {
    const names = await listTreeDirectory(root, directory)
    paths.push(
      ...names.filter((name) => name.endsWith('.repo')).map((name) => `${directory}/${name}`),
    )
  }
  const repositories: RpmRepository[] = []
  for (const path of paths) {
    const sections = parseIni((await readTreeFile(root, path)) ?? '')
    for (const [id, values] of sections) {
      if (id === 'main' || !isTrue(values.get('enabled') ?? '1')) continue
      const [mirrorList, metalink] = [values.get('mirrorlist'), values.get('metalink')]
      repositories.push({
        id,
        baseUrls: (values.get('baseurl') ?? '')
          .split(/[\s,]+/)
          .filter((url) => url !== '')
          .map(expand),
        mirrorList: mirrorList === undefined ? undefined : expand(mirrorList),
        metalink: metalink === undefined ? undefined : expand(metalink),
      })
    }
  }
  return repositories
}

/**
 * The digests of the repositories' indexes (`repodata/repomd.xml`) as they are now.
 *
 * @returns `undefined` when one of them cannot be known
 * @throws NspawnError `CANCELED`
 */
export async function currentRpmIndexes(
  root: string,
  places: RepositoryPlaces,
  signal: AbortSignal | undefined,
): Promise<IndexIdentity | undefined> {
  try {
    const repositories = await readRpmRepositories(root, places)
    const digests = repositories.map((one) => indexDigest(root, one, signal))
    return repositories.length === 0 ? undefined : (await Promise.all(digests)).toSorted()
  } catch (error) {
    if (error instanceof NspawnError && error.code !== 'CANCELED') return undefined
    throw error
  }
}

/**
 * The same of the indexes that a package manager has put below `directory` of a layer. With a metalink what that
 * said counts: the mirror that was taken may have lagged behind, and would be taken for a change else.
 */
export async function cachedRpmIndexes(
  upper: string,
  directory: string,
): Promise<IndexIdentity | undefined> {
  const digests: string[] = []
  for (const name of await listTreeDirectory(upper, directory)) {
    const found = findInTree(upper, `${directory}/${name}/repodata/repomd.xml`)
    if (found === undefined) continue
    const metalink = await readTreeFile(upper, `${directory}/${name}/metalink.xml`)
    digests.push(metalinkDigest(metalink ?? '') ?? sha256(await readFile(found)))
  }
  return digests.length === 0 ? undefined : digests.toSorted()
}

async function indexDigest(
  root: string,
  { id, baseUrls, mirrorList, metalink }: RpmRepository,
  signal: AbortSignal | undefined,
): Promise<string> {
  const get = async (text: string) => {
    // A variable that we do not know would be a question about something else.
    if (text.includes('$')) throw unknown(id)
    return fetchBytes({ url: parseUrl(text), maxBytes: limitBytes, retries: 1, signal })
  }
  const list = metalink ?? mirrorList
  const [first] = baseUrls
  if (first === undefined && list === undefined) throw unknown(id)
  if (first !== undefined) return digestBelow(root, first, get)
  const text = (await get(list ?? '')).toString('utf8')
  const digest = metalinkDigest(text)
  if (digest !== undefined) return digest
  const mirror = text.split('\n').find((line) => /^(https?|file):\/\//.test(line.trim()))
  if (mirror === undefined) throw unknown(id)
  return digestBelow(root, mirror.trim(), get)
}

async function digestBelow(
  root: string,
  base: string,
  get: (url: string) => Promise<Buffer>,
): Promise<string> {
  const url = `${base.replace(/\/+$/, '')}/repodata/repomd.xml`
  if (!/^(file:|\/)/.test(url)) return sha256(await get(url))
  // Files are those of the tree.
  const found = findInTree(root, decodeURIComponent(url.replace(/^file:(\/\/)?/, '')))
  if (found === undefined) throw unknown(url)
  return sha256(await readFile(found))
}

/** What a metalink says of the newest index; mirrors that lag behind have one of its alternates. */
function metalinkDigest(text: string): string | undefined {
  const file = /<file\s+name="repomd\.xml"\s*>(.*?)<\/file>/s.exec(text)?.[1]
  const newest = file?.replace(/<mm0:alternates>.*?<\/mm0:alternates>/s, '')
  return /<hash\s+type="sha256"\s*>\s*([0-9a-f]{64})\s*</.exec(newest ?? '')?.[1]
}

/**
 * Sections of an INI file as dnf and zypper read it: values go on in lines that begin with a blank.
 *
 * @returns values by key, by section
 */
export function parseIni(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>()
  let section: Map<string, string> | undefined
  let last: string | undefined
  for (const line of text.split('\n')) {
    if (/^\s*([#;]|$)/.test(line)) continue
    const name = /^\[([^\]]+)\]/.exec(line)?.[1]
    if (name !== undefined) {
      section = new Map()
      sections.set(name, section)
      last = undefined
      continue
    }
    if (/^\s/.test(line) && last !== undefined) {
      section?.set(last, `${section.get(last) ?? ''}\n${line.trim()}`)
      continue
    }
    const [, key, value = ''] = /^([^=\s]+)\s*=\s*(.*?)\s*$/.exec(line) ?? []
    last = key
    if (key !== undefined) section?.set(key, value)
  }
  return sections
}

const architectures: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  ppc64: 'ppc64le',
}

async function readVariables(
  root: string,
  directories: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { ID: id = '', VERSION_ID: version = '' } = readOsRelease(root) ?? {}
  const [major = '', minor = ''] = version.split('.')
  // Releases of Enterprise Linux have a minor part, their repositories do not.
  const release = /^(rhel|centos|rocky|almalinux|ol)$/.test(id) ? major : version
  const architecture = architectures[process.arch] ?? process.arch
  const variables = new Map([
    ['releasever', release],
    ['releasever_major', major],
    ['releasever_minor', minor],
    ['basearch', architecture],
    ['arch', architecture],
  ])
  for (const directory of directories) {
    for (const name of await listTreeDirectory(root, directory)) {
      const text = await readTreeFile(root, `${directory}/${name}`)
      if (text !== undefined) variables.set(name, text.split('\n')[0]?.trim() ?? '')
    }
  }
  return variables
}

/** Variables that are not known stay as they are. */
function expandVariables(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:\{(\w+)\}|(\w+))/g,
    (whole, braced: string | undefined, plain: string | undefined) =>
      variables.get(braced ?? plain ?? '') ?? whole,
  )
}

function isTrue(text: string): boolean {
  return /^(1|yes|true|on)$/i.test(text)
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function unknown(subject: string): NspawnError {
  return new NspawnError('nobody can tell what the repository has', {
    code: 'NO_IDENTITY',
    operation: 'read repository',
    subject,
  })
}
