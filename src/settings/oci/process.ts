/** `process` of a bundle: who the payload is, what it may do, and what it sees (config.md, "Process"). */
import { parseWorkingDirectory } from '../values/path.ts'
import type { CapabilityNames, ResourceLimit } from '../settings.ts'
import { limitGroup } from '../file/keys.ts'
import type { SettingsGroup } from '../option.ts'
import type { Reading } from './bundle.ts'
import { badBundle } from './config.ts'
import type { Config } from './schema.ts'

type Process = NonNullable<Config['process']>

export function processEntries(reading: Reading): void {
  const { config, text, say, add } = reading
  const { process } = config
  if (process === undefined) return
  const { args, env, cwd, user, consoleSize, noNewPrivileges, oomScoreAdj, selinuxLabel } = process
  if (process.terminal !== true)
    say('console', 'process.terminal', ({ settings }) => (settings.console = 'pipe'))
  if (consoleSize !== undefined) {
    const size = { rows: consoleSize.height, columns: consoleSize.width }
    add(undefined, 'process.consoleSize', { consoleSize: size })
  }
  if (args?.[0] === '') throw badBundle(text.path, ['process', 'args', 0], 'it is empty')
  if (args !== undefined)
    say('start-mode', 'process.args', ({ settings }) => (settings.command = args))
  const environment = (env ?? []).map((assignment) => {
    const at = assignment.indexOf('=')
    return { name: assignment.slice(0, at), value: assignment.slice(at + 1) }
  })
  say('environment', 'process.env', ({ settings }) => (settings.environment = environment))
  const directory = workingDirectory(cwd, reading)
  say('working-directory', 'process.cwd', ({ settings }) => (settings.workingDirectory = directory))
  if (user !== undefined) {
    const { uid, gid, additionalGids = [], umask } = user
    add('user', 'process.user', { user: { uid, gid, groups: additionalGids } })
    if (umask !== undefined) add(undefined, 'process.user.umask', { umask })
  }
  readCapabilities(process, reading)
  readLimits(process, reading)
  if (noNewPrivileges !== undefined) {
    say('no-new-privileges', 'process.noNewPrivileges', ({ settings }) => {
      settings.noNewPrivileges = noNewPrivileges
    })
  }
  if (oomScoreAdj !== undefined) {
    say('oom-score-adjust', 'process.oomScoreAdj', ({ settings }) => {
      settings.oomScoreAdjust = oomScoreAdj
    })
  }
  if (selinuxLabel !== undefined && selinuxLabel !== '') {
    say(undefined, 'process.selinuxLabel', ({ settings }) => {
      settings.selinux = { ...settings.selinux, context: selinuxLabel }
    })
  }
}

function workingDirectory(cwd: string, { text }: Reading): string {
  try {
    return parseWorkingDirectory(cwd)
  } catch (error) {
    throw badBundle(text.path, ['process', 'cwd'], (error as Error).message)
  }
}

/** The kernel wants ambient ones permitted and inheritable; writers of bundles often leave the latter out. */
function readCapabilities(process: Process, { add, warn }: Reading): void {
  if (process.capabilities === undefined) return
  const {
    bounding = [],
    effective = [],
    permitted = [],
    inheritable = [],
    ambient = [],
  } = process.capabilities
  const held = ambient.filter((name) => permitted.includes(name) && inheritable.includes(name))
  if (held.length < ambient.length && (process.user?.uid ?? 0) !== 0) {
    const lost = ambient.filter((name) => !held.includes(name))
    warn(`process.capabilities.ambient: not permitted and inheritable: ${lost.join(' ')}`)
  }
  const capabilities: CapabilityNames = {
    bounding,
    effective,
    permitted,
    inheritable,
    ambient: held,
  }
  add('capability', 'process.capabilities', { capabilities })
}

function readLimits({ rlimits = [] }: Process, { text, say }: Reading): void {
  const seen = new Set<string>()
  for (const [at, { type, soft, hard }] of rlimits.entries()) {
    const field = ['process', 'rlimits', at]
    if (seen.has(type)) throw badBundle(text.path, field, `${type} is there twice`)
    seen.add(type)
    const name = type.replace(/^RLIMIT_/, '')
    const limit: ResourceLimit = { soft: limitValue(soft), hard: limitValue(hard) }
    if (limit.hard !== null && (limit.soft === null || limit.soft > limit.hard))
      throw badBundle(text.path, field, 'the soft limit is above the hard limit')
    // Each resource limit is masked for itself.
    say(limitGroup(name) as SettingsGroup, 'process.rlimits', ({ settings }) => {
      settings.resourceLimits = { ...settings.resourceLimits, [name]: limit }
    })
  }
}

/** JSON's numbers are less exact than 64 bits at the upper end, where infinity is written, too. */
function limitValue(value: number): number | null {
  return value < 0 || value >= 2 ** 64 - 2048 ? null : value
}
