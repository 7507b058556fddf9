/** Files that tell zypper of repositories: ours while the tree is made, and the tree's own after. */
import type { PlannedRepository, RpmArchive } from '../archives/rpm.ts'
import type { TreeDraft } from '../plan.ts'

/**
 * A repository as the tools of the new tree find it. Signatures are asked for by their own defaults.
 *
 * @see zypper(8), "Repository Management"
 */
export function keptRepoFile(repository: PlannedRepository): string {
  return section(repository, [['autorefresh', '1']])
}

/** A repository for making a tree. What it brings is kept for the next one. */
export function privateRepoFile(
  repository: PlannedRepository,
  { archive, signatures }: TreeDraft<RpmArchive>,
): string {
  const checked = signatures === 'required'
  const whole = checked && archive.metadataSigned && archive.officialIds.includes(repository.id)
  return section(repository, [
    ['autorefresh', '0'],
    ['keeppackages', '1'],
    ['gpgcheck', flag(checked)],
    // Where nobody signed the index, each package must be; a signed one vouches for its packages by their hashes.
    ['repo_gpgcheck', flag(whole)],
    ...(checked ? [] : ([['pkg_gpgcheck', '0']] as const)),
  ])
}

function section(
  { id, title, source }: PlannedRepository,
  values: readonly (readonly [string, string])[],
): string {
  const all = [
    ['name', title],
    // libzypp tells a metalink by its content.
    [source.kind === 'baseurl' ? 'baseurl' : 'mirrorlist', source.url],
    ['enabled', '1'],
    ...values,
  ] as const
  return `[${id}]\n${all.map(([key, value]) => `${key}=${value}\n`).join('')}`
}

function flag(value: boolean): '0' | '1' {
  return value ? '1' : '0'
}
