/** The sources that a tree keeps, in the form that its release is used to, with the key that signs them. */
import { readFileSync } from 'node:fs'
import { basename, posix } from 'node:path'
import type { TreePlan } from '../plan.ts'
import type { TreeFiles } from '../tree-files.ts'

export function writeAptSources(files: TreeFiles, plan: TreePlan): void {
  const trust = treeTrust(files, plan)
  files.remove('/etc/apt/sources.list')
  files.empty('/etc/apt/sources.list.d')
  if (plan.sourcesFormat === 'deb822') {
    files.write(
      '/etc/apt/sources.list.d/debian.sources',
      plan.keptSources.map((source) => deb822(source, plan, trust)).join('\n'),
    )
  } else {
    const lines = plan.keptSources.flatMap(({ uri, suites }) =>
      suites.map(
        (suite) => `deb [${trust.oneLine}] ${uri} ${suite} ${plan.components.join(' ')}\n`,
      ),
    )
    files.write('/etc/apt/sources.list', lines.join(''))
  }
}

interface Trust {
  readonly oneLine: string
  readonly deb822: string
}

function treeTrust(files: TreeFiles, plan: TreePlan): Trust {
  if (plan.signatures === 'ignored') return { oneLine: 'trusted=yes', deb822: 'Trusted: yes' }
  let key = plan.keyring
  if (plan.keyringFrom === 'option') {
    key = posix.join('/etc/apt/keyrings', basename(plan.keyring))
    files.write(key, readFileSync(plan.keyring))
  }
  return { oneLine: `signed-by=${key}`, deb822: `Signed-By: ${key}` }
}

function deb822(source: TreePlan['keptSources'][number], plan: TreePlan, trust: Trust): string {
  return [
    'Types: deb',
    `URIs: ${source.uri}`,
    `Suites: ${source.suites.join(' ')}`,
    `Components: ${plan.components.join(' ')}`,
    trust.deb822,
    '',
  ].join('\n')
}
