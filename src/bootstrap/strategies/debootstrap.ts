/** debootstrap: needs nothing but a shell and a downloader, one mirror and one suite. */
import { join } from 'node:path'
import type { ToolStrategy } from '../strategy.ts'
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

export const debootstrap: ToolStrategy = {
  kind: 'tool',
  id: 'debootstrap',
  updates: 'after',

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
    return keyringObstacle(draft, host)
  },

  commandLine(plan, paths, host) {
    return [
      'debootstrap',
      ...variants[plan.variant]!,
      `--arch=${plan.packageArchitecture}`,
      ...(plan.include.length === 0 ? [] : [`--include=${plan.include.join(',')}`]),
      ...(plan.exclude.length === 0 ? [] : [`--exclude=${plan.exclude.join(',')}`]),
      `--components=${plan.components.join(',')}`,
      // Without the first one a missing key only warns.
      ...(plan.signatures === 'required'
        ? ['--force-check-gpg', `--keyring=${plan.keyring}`]
        : ['--no-check-gpg']),
      `--cache-dir=${paths.packages}`,
      plan.release,
      paths.tree,
      plan.mirror.replace(/^copy:/, 'file:'),
      ...(host.hasFile(join(scripts, plan.release)) ? [] : [newestScript]),
    ]
  },

  environment: () => ({}),

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
