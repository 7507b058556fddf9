/**
 * Lets makepkg fetch and check the sources. It runs the PKGBUILD with a network then, so of what is written
 * only the sources stay. Where everything is at hand nobody needs a network, and the build itself checks.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTreeGently } from '../../images/remove-tree.ts'
import type { ArchWork } from './package-layer.ts'
import { sourcesDirectory, startDirectory } from './places.ts'
import { keysStep, verifyStep } from './plan.ts'
import { SourceCache } from './source-cache.ts'
import { isSignature, type PackageSource } from './source-info.ts'

export interface FetchedSources {
  /** Layers with what makepkg wants to find, the lowest one first; they belong above the dependencies. */
  readonly layers: readonly string[]
  /** Whether digests and signatures have been seen to hold. */
  readonly checked: boolean
}

/**
 * Fetches.
 *
 * @param below the layers that makepkg needs for it, the lowest one first
 * @param keys names of key files in the directory of keys
 * @throws NspawnError `SOURCE_…`, as `runStep()`
 */
export async function fetchSources(
  { session, facts, subject }: ArchWork,
  sources: readonly PackageSource[],
  below: readonly string[],
  keys: readonly string[],
): Promise<FetchedSources> {
  const { place, request, signal } = session
  const cache = new SourceCache(join(request.stateDirectory, 'cache/source-files'))
  const lent = await cache.lend(sources, join(place.sources, sourcesDirectory), signal)
  const beside = new Set(await readdir(join(place.sources, startDirectory)))
  const absent = sources.filter(({ name }) => !lent.has(name) && !beside.has(name))
  const signed = sources.some(isSignature)
  if (absent.length === 0 && !signed) return { layers: [place.sources], checked: false }
  const fetching = absent.some(({ kind }) => kind !== 'local')
  const writable = await session.scratch('fetch')
  const inside = { layers: [...below, place.sources], writable }
  if (signed && keys.length > 0) await session.run(keysStep(facts, inside, keys), subject)
  await session.run(verifyStep(facts, inside, fetching), subject)
  for (const name of await readdir(writable.upper))
    if (`/${name}` !== sourcesDirectory) await removeTreeGently(join(writable.upper, name))
  if (fetching && (await readdir(writable.upper)).length > 0)
    await cache.keep(absent, writable.upper, signal)
  return { layers: [place.sources, writable.upper], checked: true }
}
