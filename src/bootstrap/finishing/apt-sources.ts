/** The sources that a tree keeps, in the form that its release is used to, with the key that signs them. */
import { readFileSync } from 'node:fs'
import { basename, posix } from 'node:path'
import type { AptArchive } from '../archives/apt.ts'
import type { TreePlan } from '../plan.ts'
import type { TreeFiles } from '../tree-files.ts'

export function writeAptSources(files: TreeFiles, plan: TreePlan<AptArchive>): void {
  const trust = treeTrust(files, plan)
  files.remove('/etc/apt/sources.list')
  files.empty('/etc/apt/sources.list.d')
  if (plan.archive.sourcesFormat === 'deb822') {
    files.write(
      '/etc/apt/sources.list.d/debian.sources',
      plan.archive.keptSources.map((source) => deb822(source, plan, trust)).join('\n'),
    )
  } else {
    const lines = plan.archive.keptSources.flatMap(({ uri, suites }) =>
      suites.map(
        (suite) => `deb [${trust.oneLine}] ${uri} ${suite} ${plan.archive.components.join(' ')}\n`,
      ),
    )
    files.write('/etc/apt/sources.list', lines.join(''))
  }
}

interface Trust {
  readonly oneLine: string
  readonly deb822: string
}

function treeTrust(files: TreeFiles, plan: TreePlan<AptArchive>): Trust {
  if (plan.signatures === 'ignored') return { oneLine: 'trusted=yes', deb822: 'Trusted: yes' }
  let key = plan.archive.keyring
  if (plan.archive.keyringFrom === 'option') {
    key = posix.join('/etc/apt/keyrings', basename(plan.archive.keyring))
    files.write(key, readFileSync(plan.archive.keyring))
  }
  return { oneLine: `signed-by=${key}`, deb822: `Signed-By: ${key}` }
}

function deb822(
  source: AptArchive['keptSources'][number],
  plan: TreePlan<AptArchive>,
  trust: Trust,
): string {
  return [
    'Types: deb',
    `URIs: ${source.uri}`,
    `Suites: ${source.suites.join(' ')}`,
    `Components: ${plan.archive.components.join(' ')}`,
    trust.deb822,
    '',
  ].join('\n')
}
