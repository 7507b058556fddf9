/** The sources that a tree keeps, in the form that its release is used to, with the keys that sign them. */
import { readFileSync } from 'node:fs'
import { basename, posix } from 'node:path'
import type { AptArchive } from '../archives/apt.ts'
import type { AptRepository } from '../archives/apt-repository.ts'
import type { TreePlan } from '../plan.ts'
import type { TreeFiles } from '../tree-files.ts'

interface Source {
  readonly uri: string
  readonly suites: readonly string[]
  readonly components: readonly string[]
  /** Absolute path in the tree; undefined trusts whatever comes. */
  readonly key: string | undefined
}

export function writeAptSources(files: TreeFiles, plan: TreePlan<AptArchive>): void {
  const { archive } = plan
  files.remove('/etc/apt/sources.list')
  files.empty('/etc/apt/sources.list.d')
  const key = archiveKey(files, plan)
  const own = archive.keptSources.map((source) => ({
    ...source,
    components: archive.components,
    key,
  }))
  // What lies on the host cannot be seen from the tree.
  const others = archive.repositories
    .filter(({ uri }) => /^https?:/.test(uri))
    .map((one, at) => ({
      uri: one.uri,
      suites: [one.suite],
      components: one.components,
      key: repositoryKey(files, one, at, key),
    }))
  const standsStill = archive.outdated === 'accepted'
  if (archive.sourcesFormat === 'deb822') {
    const text = [...own, ...others].map((source) => deb822(source, standsStill)).join('\n')
    files.write(`/etc/apt/sources.list.d/${plan.recipe}.sources`, text)
  } else {
    const lines = [...own, ...others].flatMap((source) => oneLine(source, standsStill))
    files.write('/etc/apt/sources.list', lines.join(''))
  }
}

function archiveKey(
  files: TreeFiles,
  { archive, signatures }: TreePlan<AptArchive>,
): string | undefined {
  if (signatures === 'ignored') return undefined
  if (archive.keyringFrom === 'recipe') return archive.keyring
  return copyKey(files, archive.keyring, basename(archive.keyring))
}

function repositoryKey(
  files: TreeFiles,
  { trust }: AptRepository,
  at: number,
  archive: string | undefined,
): string | undefined {
  if (trust.kind !== 'keyring') return trust.kind === 'archive' ? archive : undefined
  // Keyrings of several archives may be called the same.
  return copyKey(files, trust.path, `${at + 1}-${basename(trust.path)}`)
}

function copyKey(files: TreeFiles, hostPath: string, name: string): string {
  const key = posix.join('/etc/apt/keyrings', name)
  files.write(key, readFileSync(hostPath))
  return key
}

function deb822({ uri, suites, components, key }: Source, standsStill: boolean): string {
  return [
    'Types: deb',
    `URIs: ${uri}`,
    `Suites: ${suites.join(' ')}`,
    ...(components.length === 0 ? [] : [`Components: ${components.join(' ')}`]),
    key === undefined ? 'Trusted: yes' : `Signed-By: ${key}`,
    ...(standsStill ? ['Check-Valid-Until: no'] : []),
    '',
  ].join('\n')
}

function oneLine({ uri, suites, components, key }: Source, standsStill: boolean): string[] {
  const trust = key === undefined ? 'trusted=yes' : `signed-by=${key}`
  const options = standsStill ? `${trust} check-valid-until=no` : trust
  return suites.map((suite) => `${['deb', `[${options}]`, uri, suite, ...components].join(' ')}\n`)
}
