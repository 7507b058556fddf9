/**
 * The repositories that a tree's pacman.conf(5) names, and what tells one state of their databases from the
 * next. Databases are megabytes: they are told apart by the time and the size that servers say, which is what
 * pacman itself goes by, and what it leaves on the files that it has fetched.
 */
import { readdir, stat } from 'node:fs/promises'
import { arch as hostArchitecture } from 'node:process'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { NspawnError } from '../../errors.ts'
import { openContent } from '../../transfer/steady-stream.ts'
import { parseUrl } from '../../transfer/url.ts'
import { findInTree, listTreeDirectory, readTreeFile } from '../tree-path.ts'

export interface PacmanRepository {
  readonly name: string
  /** With `$repo` and `$arch` filled in, the preferred one first. */
  readonly servers: readonly string[]
}

export interface PacmanSetup {
  /** What `$arch` stands for, and what packages are built for. */
  readonly architecture: string
  readonly repositories: readonly PacmanRepository[]
  /** Whether pacman fetches by itself, and not by a program that may date files as it likes. */
  readonly fetchesItself: boolean
}

/** Servers do not say the time more exactly, so a younger file may change again and look the same. */
const settledMs = 2000

/** As many files may include each other. */
const includeDepth = 8

const architectures: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' }

/** Reads the setup of the tree at `root`; files that it includes are looked for in the tree. */
export async function readPacmanSetup(root: string): Promise<PacmanSetup> {
  const repositories = new Map<string, string[]>()
  const state = { section: '', architecture: 'auto', fetchesItself: true }
  const read = async (path: string, depth: number): Promise<void> => {
    for (const raw of ((await readTreeFile(root, path)) ?? '').split('\n')) {
      const line = raw.trim()
      const section = /^\[(.+)\]$/.exec(line)?.[1]
      if (section !== undefined) {
        state.section = section
        if (section !== 'options' && !repositories.has(section)) repositories.set(section, [])
        continue
      }
      const [, key, value = ''] = /^(\w+)\s*(?:=\s*(.*))?$/.exec(line) ?? []
      if (key === 'Include' && depth < includeDepth)
        for (const name of await matching(root, value)) await read(name, depth + 1)
      else if (state.section !== 'options' && key === 'Server')
        repositories.get(state.section)?.push(value)
      else if (key === 'Architecture') state.architecture = value.split(/\s+/)[0] ?? 'auto'
      else if (key === 'XferCommand') state.fetchesItself = false
    }
  }
  await read('etc/pacman.conf', 0)
  const own = architectures[hostArchitecture] ?? hostArchitecture
  const architecture = state.architecture === 'auto' ? own : state.architecture
  return {
    architecture,
    fetchesItself: state.fetchesItself,
    repositories: [...repositories].map(([name, servers]) => ({
      name,
      servers: servers.map((server) =>
        server.replaceAll('$repo', name).replaceAll('$arch', architecture),
      ),
    })),
  }
}

/**
 * What tells the databases apart that the servers have now, each as `name seconds bytes`, sorted.
 *
 * @returns `undefined` where a server does not say, or nobody answers
 * @throws NspawnError `CANCELED`
 */
export async function databasesOfServers(
  root: string,
  { repositories, fetchesItself }: PacmanSetup,
  signal: AbortSignal | undefined,
): Promise<readonly string[] | undefined> {
  if (!fetchesItself || repositories.length === 0) return undefined
  const marks = await Promise.all(
    repositories.map(async (repository) => askServers(root, repository, signal)),
  )
  const known = marks.filter((mark) => mark !== undefined)
  return known.length === marks.length ? known.toSorted() : undefined
}

/** The same of the databases that pacman has fetched into the layer at `upper`. */
export async function databasesOfLayer(upper: string): Promise<readonly string[] | undefined> {
  const place = findInTree(upper, 'var/lib/pacman/sync')
  if (place === undefined) return undefined
  const names = (await readdir(place)).filter((name) => name.endsWith('.db'))
  const marks = names.map(async (name) => {
    const { mtimeMs, size } = await stat(join(place, name))
    return markOf(name.slice(0, -'.db'.length), mtimeMs, size)
  })
  return names.length === 0 ? undefined : (await Promise.all(marks)).toSorted()
}

async function askServers(
  root: string,
  { name, servers }: PacmanRepository,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  for (const server of servers) {
    try {
      const facts = await ask(root, parseUrl(`${server}/${name}.db`), signal)
      if (facts === undefined || Date.now() - facts.modifiedMs < settledMs) return undefined
      return markOf(name, facts.modifiedMs, facts.sizeBytes)
    } catch (error) {
      // The next one is asked then, as pacman does.
      if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    }
  }
  return undefined
}

interface FileFacts {
  readonly modifiedMs: number
  readonly sizeBytes: number
}

async function ask(
  root: string,
  url: URL,
  signal: AbortSignal | undefined,
): Promise<FileFacts | undefined> {
  if (url.protocol === 'file:') {
    const found = findInTree(root, fileURLToPath(url))
    if (found === undefined) return undefined
    const { mtimeMs, size } = await stat(found)
    return { modifiedMs: mtimeMs, sizeBytes: size }
  }
  const answer = await openContent({ url, retries: 1, signal })
  answer.close()
  const { modifiedMs, totalBytes } = answer
  return modifiedMs === undefined || totalBytes === undefined
    ? undefined
    : { modifiedMs, sizeBytes: totalBytes }
}

function markOf(name: string, modifiedMs: number, sizeBytes: number): string {
  return `${name} ${Math.floor(modifiedMs / 1000)} ${sizeBytes}`
}

/** The files that an `Include` names, which may have wildcards in its last part. */
async function matching(root: string, path: string): Promise<readonly string[]> {
  if (!/[*?]/.test(path)) return [path]
  const pattern = basename(path)
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  const names = await listTreeDirectory(root, dirname(path))
  return names
    .filter((name) => new RegExp(`^${pattern}$`).test(name))
    .map((name) => join(dirname(path), name))
}
