/** The signed indexes of all archives that a tree is made from, and whom each is trusted by. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { AptArchive } from '../archives/apt.ts'
import type { TreePlan } from '../plan.ts'
import type { StrategyRun } from '../strategy.ts'
import { allOrNone } from './all-or-none.ts'
import { ArchiveCache } from './archive-cache.ts'
import { Mirrors } from './mirrors.ts'
import { readPackageIndex, type IndexSource, type PackageIndex } from './package-index.ts'
import { fetchReleaseWithSpare } from './release-keyrings.ts'
import { archiveRoot, type SuiteSource } from './release.ts'

/** Keyrings that come with this program, for hosts that have none of the distribution's. */
const shippedKeyrings: Readonly<Record<string, string>> = {
  'debian-archive-keyring.gpg': 'debian',
  'ubuntu-archive-keyring.gpg': 'ubuntu',
}

/** Whether this program has the keyring too; whom a user trusts is for the user alone to say. */
export function isShipped({ keyring, keyringFrom }: AptArchive): boolean {
  return keyringFrom === 'recipe' && Object.hasOwn(shippedKeyrings, basename(keyring))
}

function shippedPath({ keyring }: AptArchive, templates: string): string {
  const name = basename(keyring)
  return join(templates, shippedKeyrings[name] ?? '', name)
}

interface Suite extends Pick<SuiteSource, 'suite' | 'keyrings' | 'signatures'> {
  readonly uris: readonly [string, ...string[]]
  readonly components: readonly string[]
  /** Falls back on the keyring that comes along. */
  readonly spare: string | undefined
}

/**
 * @throws NspawnError what `fetchRelease()` and `readPackageIndex()` throw
 */
export async function readSuites(
  plan: TreePlan<AptArchive>,
  { paths, log, context }: Pick<StrategyRun, 'paths' | 'log' | 'context'>,
): Promise<PackageIndex> {
  const { signal, log: sink, stateDirectory } = context
  const { archive, network } = plan
  const cache = new ArchiveCache(join(stateDirectory, 'cache/indexes'))
  let noticed = plan.signatures === 'ignored'
  const notice = (why: string) => {
    if (noticed) return
    noticed = true
    sink({ kind: 'notice', text: `${why}: the keyring that comes with this program is used` })
  }
  if (!existsSync(archive.keyring)) notice(`this host has no ${archive.keyring}`)
  const spareUsed = () => notice(`${archive.keyring} lacks the keys of this archive`)
  const mirrors = new Map<string, Mirrors>()
  const sources = await allOrNone(
    suitesOf(plan, paths.templates).map((suite) => async (either): Promise<IndexSource> => {
      const key = suite.uris.join(' ')
      const places = mirrors.get(key) ?? mirrorsOf(suite.uris, sink)
      mirrors.set(key, places)
      const release = await places.run((base, patience) => {
        const { outdated } = archive
        const how = { cache, network, patience, outdated, mirrors: places }
        return fetchReleaseWithSpare(
          { ...suite, ...how, uri: base.href },
          suite.spare,
          spareUsed,
          either,
        )
      })
      const { signers, fields } = release
      log.add(
        `suite ${suite.suite} of ${fields.get('Date') ?? 'unknown date'}, signed by ${signers.join(', ') || 'nobody that was asked for'}`,
      )
      return { release, components: suite.components }
    }),
    signal,
  )
  return readPackageIndex(sources, plan.packageArchitecture, {
    signal,
    log: sink,
    cache,
    network,
  })
}

function mirrorsOf([first, ...others]: Suite['uris'], log: StrategyRun['context']['log']): Mirrors {
  const root = (uri: string) => archiveRoot(uri.replace(/^copy:/, 'file:'))
  return new Mirrors([root(first), ...others.map(root)], log)
}

/** The release itself first. */
function suitesOf(
  { archive, signatures, release }: TreePlan<AptArchive>,
  templates: string,
): Suite[] {
  const { keyring, components } = archive
  const shipped = shippedPath(archive, templates)
  const present = existsSync(keyring)
  const trust = {
    keyrings: [present ? keyring : shipped],
    signatures,
    spare: present && isShipped(archive) ? shipped : undefined,
  }
  const places = (uri: string): Suite['uris'] =>
    uri === archive.mirror ? [uri, ...archive.otherMirrors] : [uri]
  const own = [{ suite: release, mirror: archive.mirror }, ...archive.extraSuites]
  return [
    ...own.map(({ suite, mirror }) => ({ suite, components, uris: places(mirror), ...trust })),
    ...archive.repositories.map(({ suite, components: parts, uri, trust: by }) => ({
      ...trust,
      ...(by.kind === 'keyring' ? { keyrings: [by.path], spare: undefined } : {}),
      ...(by.kind === 'nobody' ? { signatures: 'ignored' as const } : {}),
      suite,
      components: parts,
      uris: places(uri),
    })),
  ]
}
