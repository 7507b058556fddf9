/** The one file that dnf is told everything by: nothing of the host's own repositories, plugins or habits counts. */
import { pathToFileURL } from 'node:url'
import type { RpmArchive } from '../archives/rpm.ts'
import type { TreePlan } from '../plan.ts'

export type DnfVersion = 4 | 5

/**
 * @param keys absolute paths of the files with keys that may sign packages
 * @see dnf.conf(5); dnf5.conf(5)
 */
export function dnfConfiguration(
  { archive, signatures, exclude }: TreePlan<RpmArchive>,
  keys: readonly string[],
  version: DnfVersion,
): string {
  // Version 5 takes what stands behind the scheme as it is.
  const keyUrl = (path: string) => (version === 4 ? pathToFileURL(path).href : `file://${path}`)
  const checked = signatures === 'required'
  const main: readonly (readonly [string, string | undefined])[] = [
    ['gpgcheck', flag(checked)],
    // A wish that cannot be met is told, not passed over.
    ['best', '1'],
    ['skip_if_unavailable', '0'],
    ['install_weak_deps', '0'],
    ['plugins', '0'],
    ['keepcache', '1'],
    // A package may need a file that lies anywhere; dnf 5 would not know of most.
    ['optional_metadata_types', 'filelists,comps'],
    ['max_parallel_downloads', '8'],
    // Seconds in which a mirror may say nothing, and bytes a second that it must bring.
    ['timeout', '15'],
    ['minrate', '1000'],
    ['retries', '3'],
    ['excludepkgs', exclude.length === 0 ? undefined : exclude.join(',')],
    ['module_platform_id', archive.modulePlatform],
  ]
  const official = new Set(archive.officialIds)
  const repositories = archive.repositories.map(({ id, title, source }) =>
    section(id, [
      ['name', title],
      [source.kind, source.url],
      ['enabled', '1'],
      ['gpgcheck', flag(checked)],
      ['repo_gpgcheck', flag(checked && archive.metadataSigned && official.has(id))],
      ['gpgkey', keys.length === 0 ? undefined : keys.map(keyUrl).join(' ')],
    ]),
  )
  return [section('main', main), ...repositories].join('\n')
}

function section(name: string, values: readonly (readonly [string, string | undefined])[]): string {
  const lines = values
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}\n`)
  return `[${name}]\n${lines.join('')}`
}

function flag(value: boolean): '0' | '1' {
  return value ? '1' : '0'
}
