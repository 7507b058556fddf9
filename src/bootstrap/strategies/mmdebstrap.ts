/** mmdebstrap: apt itself resolves and downloads, so several suites and versions work. */
import { join } from 'node:path'
import type { AptArchive } from '../archives/apt.ts'
import type { AptRepository } from '../archives/apt-repository.ts'
import { bareName } from '../families/dpkg-status.ts'
import type { TreePlan } from '../plan.ts'
import type { Strategy, StrategyPaths } from '../strategy.ts'
import { diagnoseApt } from './apt-failures.ts'
import { keyringObstacle } from './keyring-obstacle.ts'

/** Its variants, and the priorities of the packages that each installs beyond the essential ones. */
const variants: Readonly<Record<string, readonly string[]>> = {
  essential: [],
  apt: [],
  required: ['required'],
  minbase: ['required'],
  buildd: ['required'],
  important: ['required', 'important'],
  debootstrap: ['required', 'important'],
  standard: ['required', 'important', 'standard'],
}

/** What it says about itself, or about what we asked it to do. */
const housekeeping =
  /^(chroot architecture|finding correct|running --|skipping |success in|main\(\)|setup failed)/

export const mmdebstrap: Strategy<AptArchive> = {
  id: 'mmdebstrap',
  updates: 'included',
  programs: ['mmdebstrap'],
  toolPackages: ['mmdebstrap', 'arch-test', 'debian-archive-keyring'],

  obstacle(draft, host) {
    if (host.findProgram('mmdebstrap') === undefined) {
      return { reason: 'mmdebstrap is not installed', hint: 'install the package mmdebstrap' }
    }
    if (!Object.hasOwn(variants, draft.variant)) {
      return {
        reason: `it has no variant ${draft.variant}`,
        hint: `it has ${Object.keys(variants).join(', ')}`,
      }
    }
    if (draft.architecture !== host.architecture && host.findProgram('arch-test') === undefined) {
      return {
        reason: 'it needs arch-test for a foreign architecture',
        hint: 'install the package arch-test',
      }
    }
    return keyringObstacle(draft, host)
  },

  async fill(plan, { paths, tools }) {
    await tools.run(mmdebstrapCommand(plan, paths), {
      environment: { TSNSPAWN_PACKAGES: paths.packages },
      emulated: plan.execution === 'emulated',
    })
  },

  readLine(line) {
    const info = /^I: (.*?)(?:\.\.\.)?$/.exec(line)
    if (info !== null)
      return housekeeping.test(info[1]!) ? undefined : { kind: 'step', text: info[1]! }
    const unpack = /^(Unpacking|Setting up|Extracting) (\S+)/.exec(line)
    if (unpack !== null)
      return {
        kind: 'progress',
        text: `${unpack[1]!.toLowerCase()} ${unpack[2]}`,
        done: 0,
        total: undefined,
        unit: 'packages',
      }
    const get = /^Get:(\d+) \S+ \S+ \S+ (\S+)/.exec(line)
    if (get !== null)
      return {
        kind: 'progress',
        text: `fetching ${get[2]}`,
        done: Number(get[1]),
        total: undefined,
        unit: 'packages',
      }
    return undefined
  },

  diagnose: diagnoseApt,
}

/** @see mmdebstrap(1) */
export function mmdebstrapCommand(
  plan: TreePlan<AptArchive>,
  paths: StrategyPaths,
): [string, ...string[]] {
  const { mirror } = plan.archive
  return [
    'mmdebstrap',
    '--mode=root',
    '--format=directory',
    '--verbose',
    ...packageOptions(plan),
    `--architectures=${plan.packageArchitecture}`,
    // Packages that were fetched before are linked in, and stay behind to be fetched back from there.
    ...(plan.archive.outdated === 'accepted'
      ? ['--aptopt=Acquire::Check-Valid-Until "false"']
      : []),
    '--skip=essential/unlink,cleanup/apt/cache',
    `--setup-hook=${join(paths.templates, 'debian/link-packages')}`,
    // Archives that tests make by hand lack the packages that merge /usr by themselves.
    ...(mirror.startsWith('copy:') || mirror.startsWith('file:')
      ? ['--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr']
      : []),
    plan.release,
    paths.tree,
    ...sourceLines(plan),
  ]
}

/**
 * Which packages. Its own choice by priority, which apt reads last, would bring back what is left out: so
 * a variant that chooses that way is made of the essential packages and the same choice without those.
 */
function packageOptions({
  variant,
  include,
  exclude,
  release,
  packageArchitecture,
}: TreePlan<AptArchive>): string[] {
  const priorities = variants[variant]!
  const chooses = exclude.length > 0 && priorities.length > 0
  const packages = [
    ...(chooses && variant === 'buildd' ? ['build-essential'] : []),
    ...include,
    ...exclude.map((name) => `${name}-`),
  ]
  const listed = packages.length === 0 ? [] : [`--include=${packages.join(',')}`]
  if (!chooses) return [`--variant=${variant}`, ...listed]
  const suite = `?or(?archive(^${release}$),?codename(^${release}$))`
  const wanted = `?or(${priorities.map((priority) => `?priority(${priority})`).join(',')})`
  const excluded = `?or(${exclude.map((name) => `?exact-name(${bareName(name)})`).join(',')})`
  const choice = `?and(${wanted},?not(?essential),?not(${excluded}))`
  return [
    '--variant=essential',
    ...listed,
    `--include=?narrow(${suite},?architecture(${packageArchitecture}),${choice})`,
  ]
}

/** sources.list lines; the key is named so that the tree's own apt trusts the same one. */
function sourceLines({ signatures, release, archive }: TreePlan<AptArchive>): string[] {
  const trust = signatures === 'required' ? `[signed-by=${archive.keyring}]` : '[trusted=yes]'
  // apt runs inside the tree for the last step, where a file: URL would be looked up; copy: is not.
  const copied = (uri: string) => uri.replace(/^file:/, 'copy:')
  const line = (uri: string, suite: string) =>
    `deb ${trust} ${copied(uri)} ${suite} ${archive.components.join(' ')}`
  return [
    line(archive.mirror, release),
    ...archive.extraSuites.map(({ suite, mirror }) => line(mirror, suite)),
    ...archive.repositories.map(({ uri, suite, components, trust: by }) =>
      ['deb', trustOption(by, trust), copied(uri), suite, ...components].join(' '),
    ),
  ]
}

function trustOption(trust: AptRepository['trust'], archive: string): string {
  switch (trust.kind) {
    case 'keyring':
      return `[signed-by=${trust.path}]`
    case 'archive':
      return archive
    case 'nobody':
      return '[trusted=yes]'
  }
}
