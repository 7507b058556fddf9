/** What an archive holds at this moment, in few bytes: the tops of its indexes, which name all the rest by hash. */
import { createHash } from 'node:crypto'
import { fetchText } from '../../transfer/download.ts'
import { parseUrl } from '../../transfer/url.ts'
import type { TreePlan } from '../plan.ts'
import type { Archive } from './archive.ts'

/** Arch's databases are not small, for they hold every package; tops of other families are. */
const topMaxBytes = 64 * 1024 ** 2

/** A file to fetch, and what of it counts when not all of it does. */
interface Top {
  readonly url: string
  readonly part?: RegExp
}

/** The state of an archive. */
export interface ArchiveState {
  /** SHA-256 over the tops of all indexes that a tree is made from. */
  readonly identity: string
  /** Milliseconds since 1970 at which the first of the indexes ends; Infinity where none says so. */
  readonly validUntilMs: number
}

/**
 * Asks the archive for its state; undefined where it cannot be asked, or is asked by way of lists of mirrors that say
 * something else each time. Nothing is verified here: whoever makes the tree does that.
 */
export async function archiveState(
  { archive, release, packageArchitecture, network }: TreePlan,
  signal: AbortSignal | undefined,
): Promise<ArchiveState | undefined> {
  const tops = indexTops(archive, release, packageArchitecture)
  if (tops === undefined || network === 'forbidden') return undefined
  try {
    const parts = await Promise.all(
      tops.map(async ({ url, part }) => {
        // A mirror that fails is asked again, or another one, by whoever makes the tree.
        const patience = { retries: 0, stallMs: 20_000 }
        const text = await fetchText({
          url: parseUrl(url),
          maxBytes: topMaxBytes,
          signal,
          ...patience,
        })
        const found = part === undefined ? text : part.exec(text)?.[0]
        if (found === undefined) throw new Error(`nothing to tell ${url} by`)
        return {
          hash: createHash('sha256').update(found).digest('hex'),
          untilMs: archive.family === 'apt' ? validUntil(text) : Infinity,
        }
      }),
    )
    const hashes = parts.map(({ hash }) => hash)
    return {
      identity: createHash('sha256').update(hashes.join()).digest('hex'),
      validUntilMs: Math.min(...parts.map(({ untilMs }) => untilMs)),
    }
  } catch {
    signal?.throwIfAborted()
    // Whoever makes the tree will meet the same, and say it better.
    return undefined
  }
}

/** Of a Release file, signed or not; what is no date has ended. */
function validUntil(text: string): number {
  const said = /^Valid-Until:[ \t]*(.*)$/im.exec(text)?.[1]
  if (said === undefined) return Infinity
  const time = Date.parse(said)
  return Number.isNaN(time) ? -Infinity : time
}

function indexTops(archive: Archive, release: string, architecture: string): Top[] | undefined {
  switch (archive.family) {
    case 'apt': {
      const suites = [
        { suite: release, mirror: archive.mirror },
        ...archive.extraSuites,
        ...archive.repositories.map(({ uri, suite }) => ({ suite, mirror: uri })),
      ]
      return suites.map(({ suite, mirror }) => {
        const root = mirror.replace(/^copy:/, 'file:')
        // A flat archive has no suites, only directories.
        const place = suite.endsWith('/') ? suite : `dists/${suite}/`
        return { url: `${root}/${place}InRelease` }
      })
    }
    case 'pacman':
      return archive.repositories.map(({ name, server }) => {
        const place = server.replaceAll('$repo', name).replaceAll('$arch', architecture)
        return { url: `${place}/${name}.db` }
      })
    case 'rpm': {
      if (archive.repositories.some(({ source }) => source.kind === 'mirrorlist')) return undefined
      return archive.repositories.map(({ source }) => {
        const url = source.url
          .replaceAll('$releasever', release)
          .replaceAll('$basearch', architecture)
        // Of a metalink only the hash of what it leads to: the mirrors that it lists are others each time.
        if (source.kind === 'metalink') return { url, part: /<hash type="sha256">[0-9a-f]+/ }
        return { url: `${url.replace(/\/+$/, '')}/repodata/repomd.xml` }
      })
    }
  }
}
