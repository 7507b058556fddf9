/** debootstrap: needs nothing but a shell and a downloader, one mirror and one suite. */
import { join } from 'node:path'
import type { AptArchive } from '../archives/apt.ts'
import type { TreePlan } from '../plan.ts'
import type { Strategy, StrategyPaths } from '../strategy.ts'
import type { ToolPlace } from '../tools.ts'
import { diagnoseApt } from './apt-failures.ts'
import { keyringObstacle } from './keyring-obstacle.ts'

/** Our name, mmdebstrap's alike, → its option; the set without an option is called `important` there. */
const variants: Readonly<Record<string, readonly string[]>> = {
  minbase: ['--variant=minbase'],
  buildd: ['--variant=buildd'],
  important: [],
  debootstrap: [],
}

const scripts = '/usr/share/debootstrap/scripts'

/** The script for suites that this host's debootstrap is too old to know. */
const newestScript = 'sid'

export const debootstrap: Strategy<AptArchive> = {
  id: 'debootstrap',
  updates: 'after',
  programs: ['debootstrap'],
  toolPackages: ['debootstrap', 'debian-archive-keyring'],

  obstacle(draft, host) {
    if (host.findProgram('debootstrap') === undefined) {
      return { reason: 'debootstrap is not installed', hint: 'install the package debootstrap' }
    }
    if (!Object.hasOwn(variants, draft.variant)) {
      return {
        reason: `it has no variant ${draft.variant}`,
        hint: `it has ${Object.keys(variants).join(', ')}`,
      }
    }
    if (draft.archive.repositories.length > 0)
      return { reason: 'it installs from one archive', hint: 'leave --repo out' }
    return keyringObstacle(draft, host)
  },

  async fill(plan, { paths, tools }) {
    await tools.run(debootstrapCommand(plan, paths, tools), {
      emulated: plan.execution === 'emulated',
    })
  },

  readLine(line) {
    const match =
      /^I: (Retrieving|Validating|Extracting|Configuring|Unpacking) (\S+?)(?:\.\.\.)?(?: .*)?$/.exec(
        line,
      )
    if (match !== null) {
      return {
        kind: 'progress',
        text: `${match[1]!.toLowerCase()} ${match[2]}`,
        done: 0,
        total: undefined,
        unit: 'packages',
      }
    }
    const info = /^I: (.*?)(?:\.\.\.)?$/.exec(line)
    if (info !== null) return { kind: 'step', text: info[1]! }
    return undefined
  },

  diagnose: diagnoseApt,
}

/** @see debootstrap(8) */
export function debootstrapCommand(
  plan: TreePlan<AptArchive>,
  paths: StrategyPaths,
  place: Pick<ToolPlace, 'hasFile'>,
): [string, ...string[]] {
  const { archive } = plan
  return [
    'debootstrap',
    ...variants[plan.variant]!,
    `--arch=${plan.packageArchitecture}`,
    ...(plan.include.length === 0 ? [] : [`--include=${plan.include.join(',')}`]),
    ...(plan.exclude.length === 0 ? [] : [`--exclude=${plan.exclude.join(',')}`]),
    `--components=${archive.components.join(',')}`,
    // Without the first one a missing key only warns.
    ...(plan.signatures === 'required'
      ? ['--force-check-gpg', `--keyring=${archive.keyring}`]
      : ['--no-check-gpg']),
    `--cache-dir=${paths.packages}`,
    plan.release,
    paths.tree,
    archive.mirror.replace(/^copy:/, 'file:'),
    ...(place.hasFile(join(scripts, plan.release)) ? [] : [newestScript]),
  ]
}
