/**
 * Locked packages that were fetched once: each file is named by its own hash, so it is the same for every lock,
 * and it is hashed again before each use.
 */
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import type { LogSink } from '../../log.ts'
import { missing } from '../../read-if-there.ts'
import { download } from '../../transfer/download.ts'
import { parseUrl, withoutSecrets } from '../../transfer/url.ts'
import { findInTree } from '../tree-path.ts'
import type { FetchablePackage } from './differences.ts'

/** A package that no lock has asked for in this long is dropped. */
const keepMs = 180 * 24 * 3600 * 1000

const atOnce = 4

export interface StoreContext {
  readonly stateDirectory: string
  /** `file:` URLs are paths in it. */
  readonly tree: string
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
}

/**
 * Makes sure that all packages are there, whole: those that are not are fetched.
 *
 * @returns their absolute paths, in the same order
 * @throws NspawnError `DEPENDENCY_FETCH`, `CANCELED`
 */
export async function storePackages(
  packages: readonly FetchablePackage[],
  context: StoreContext,
): Promise<readonly string[]> {
  const { stateDirectory, log } = context
  const directory = join(stateDirectory, 'cache/locked')
  await mkdir(directory, { recursive: true, mode: 0o755 })
  const pathOf = ({ sha256 }: FetchablePackage) => join(directory, sha256)
  const absent: FetchablePackage[] = []
  for (const one of packages) if (!(await isWhole(one, pathOf(one), context))) absent.push(one)
  if (absent.length > 0) {
    const bytes = absent.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const size = `${Math.max(1, Math.round(bytes / 1024 ** 2))} MiB`
    log({ kind: 'step', text: `fetching ${absent.length} locked packages, ${size}` })
  }
  await fetchAll(absent, pathOf, context)
  await dropOld(directory)
  return packages.map(pathOf)
}

/** A damaged file is no reason to fail: it is fetched again. */
async function isWhole(
  { sizeBytes, sha256 }: FetchablePackage,
  path: string,
  { signal }: StoreContext,
): Promise<boolean> {
  if ((await stat(path).catch(missing))?.size !== sizeBytes) return false
  if ((await hashFile(path, signal)) !== sha256) return false
  const now = new Date()
  await utimes(path, now, now)
  return true
}

const hints: Readonly<Record<string, string>> = {
  NOT_FOUND:
    'archives drop old versions: name a place that still has this one as its url in the lock; its hash decides',
  CHECKSUM_MISMATCH: 'it is not the package that was locked: do not use it',
  SIZE_MISMATCH: 'it is not the package that was locked: do not use it',
}

/** Waits for all that have begun when one fails. */
async function fetchAll(
  packages: readonly FetchablePackage[],
  pathOf: (one: FetchablePackage) => string,
  context: StoreContext,
): Promise<void> {
  const queue = packages.values()
  let failure: Error | undefined
  const fetcher = async () => {
    for (const one of queue) {
      if (failure !== undefined) return
      await fetchPackage(one, pathOf(one), context).catch((error: Error) => (failure ??= error))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, fetcher))
  if (failure !== undefined) throw failure
}

async function fetchPackage(
  one: FetchablePackage,
  destination: string,
  { tree, signal }: StoreContext,
): Promise<void> {
  throwIfCanceled(signal, 'fetching packages')
  const { name, version, sizeBytes, sha256 } = one
  const url = parseUrl(one.url)
  try {
    await download({ url: beneath(url, tree), destination, sha256, sizeBytes, signal })
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'CANCELED') throw error
    throw new NspawnError(`cannot fetch the locked package ${name} ${version}`, {
      code: 'DEPENDENCY_FETCH',
      operation: 'fetch package',
      subject: withoutSecrets(url),
      hint: hints[(error as NspawnError).code],
      cause: error,
    })
  }
}

/** A file of the tree, and never one of the host. */
function beneath(url: URL, tree: string): URL {
  if (url.protocol !== 'file:') return url
  const found = findInTree(tree, decodeURIComponent(url.pathname))
  if (found === undefined) {
    throw new NspawnError('the tree has no such file', {
      code: 'NOT_FOUND',
      operation: 'fetch package',
      subject: url.pathname,
    })
  }
  return pathToFileURL(found)
}

async function dropOld(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    const facts = await stat(path).catch(missing)
    if (facts !== undefined && Date.now() - facts.mtimeMs > keepMs) await rm(path, { force: true })
  }
}
