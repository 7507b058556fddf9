/** What pacman in a tree reads: where packages come from, and whom to trust. */
import type { PacmanArchive } from '../archives/pacman.ts'
import { lastingKeyringFiles, treeKeyring } from '../pacman/keyring.ts'
import type { TreePlan } from '../plan.ts'
import type { TreeFiles } from '../tree-files.ts'

const configuration = '/etc/pacman.conf'
const mirrorlist = '/etc/pacman.d/mirrorlist'

/**
 * Names the mirror first in the list that the distribution ships, and puts the user's repositories before its own in
 * pacman.conf(5), where the first that has a package wins.
 */
export function writePacmanConfiguration(files: TreeFiles, plan: TreePlan<PacmanArchive>): void {
  const { archive } = plan
  const others = (files.read(mirrorlist) ?? '')
    .split('\n')
    .filter((line) => !/^\s*Server\s*=/.test(line))
    .join('\n')
  const servers = archive.keptMirrors.map((mirror) => `Server = ${mirror}\n`)
  files.write(mirrorlist, servers.join('') + others)
  const text = files.read(configuration) ?? ownConfiguration(plan)
  const missing = archive.keptRepositories.filter(({ name }) => !text.includes(`\n[${name}]\n`))
  const trust = plan.signatures === 'ignored' ? 'SigLevel = Optional TrustAll\n' : ''
  const added = missing.map(({ name, server }) => `[${name}]\n${trust}Server = ${server}\n\n`)
  const first = /^\[(?!options\])/m.exec(text)?.index ?? text.length
  files.write(configuration, text.slice(0, first) + added.join('') + text.slice(first))
}

/** For trees whose pacman came without one, as some distributions have it. */
function ownConfiguration({ archive, packageArchitecture }: TreePlan<PacmanArchive>): string {
  const kept = new Set(archive.keptRepositories.map(({ name }) => name))
  const own = archive.repositories.filter(
    ({ name, server }) => server === archive.mirror && !kept.has(name),
  )
  const sections = own.map(({ name }) => `\n[${name}]\nInclude = ${mirrorlist}\n`)
  const options = ['[options]', 'HoldPkg = pacman glibc', `Architecture = ${packageArchitecture}`]
  const trust = ['SigLevel = Required DatabaseOptional', 'LocalFileSigLevel = Optional']
  return `${[...options, ...trust].join('\n')}\n${sections.join('')}`
}

/** Leaves what pacman needs to check signatures: no secret key, socket, lock or copy of before. */
export function cleanPacmanKeyring(files: TreeFiles): void {
  files.empty(treeKeyring, (name) => lastingKeyringFiles.includes(name))
}
