/** The caller's variables that systemd-nspawn listens to: switches for which it has no options. */
import { usageError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import { defaultSettings, type Tuning } from './settings.ts'
import { booleanWord } from './values/boolean.ts'

export interface EnvironmentSettings {
  readonly tuning: Tuning
  /** `$SYSTEMD_SUPPRESS_SYNC`. */
  readonly suppressSync: boolean
  readonly events: readonly LogEvent[]
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * What the environment asks for, on top of the defaults.
 *
 * As in systemd-nspawn, a variable that changes what the container is made of must be a boolean; one
 * that only turns a check off is passed over with a warning when it is not.
 *
 * @throws NspawnError (`USAGE`)
 */
export function readEnvironment(env: Environment): EnvironmentSettings {
  const { tuning: defaults, suppressSync } = defaultSettings()
  const events: LogEvent[] = []
  const lenient = (name: string): boolean | undefined => {
    const value = env[name]
    const truth = value === undefined ? undefined : booleanWord(value)
    if (value !== undefined && truth === undefined) {
      events.push({ kind: 'warning', text: `ignoring $${name}: "${value}" is neither yes nor no` })
    }
    return truth
  }
  const service = env['SYSTEMD_NSPAWN_CONTAINER_SERVICE']
  const logsRefusals = lenient('SYSTEMD_LOG_SECCOMP') === true
  return {
    suppressSync: lenient('SYSTEMD_SUPPRESS_SYNC') ?? suppressSync,
    tuning: {
      apiVfs: apiVfs(env) ?? defaults.apiVfs,
      shared: sharedNamespaces(env),
      tmpfsOnTmp: strict(env, 'SYSTEMD_NSPAWN_TMPFS_TMP') ?? defaults.tmpfsOnTmp,
      cgroupNamespace: strict(env, 'SYSTEMD_NSPAWN_USE_CGNS') ?? defaults.cgroupNamespace,
      unifiedCgroup:
        strict(env, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY') ?? strict(env, 'UNIFIED_CGROUP_HIERARCHY'),
      containerService:
        service === undefined || service === '' ? defaults.containerService : service,
      lockImages: lenient('SYSTEMD_NSPAWN_LOCK') ?? defaults.lockImages,
      checkOsTree: lenient('SYSTEMD_NSPAWN_CHECK_OS_RELEASE') ?? defaults.checkOsTree,
      ...networkMac(env),
      seccomp: lenient('SYSTEMD_SECCOMP') === false ? 'off' : logsRefusals ? 'log' : 'on',
    },
    events,
  }
}

function strict(env: Environment, name: string): boolean | undefined {
  const value = env[name]
  if (value === undefined) return undefined
  const truth = booleanWord(value)
  if (truth !== undefined) return truth
  throw usageError(`cannot read $${name}: "${value}" is neither yes nor no`)
}

function networkMac(env: Environment): Pick<Tuning, 'networkMac'> {
  const name = 'SYSTEMD_NSPAWN_NETWORK_MAC'
  const value = env[name]
  if (value === undefined) return {}
  const digits = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i.test(value)
    ? value.toLowerCase().replaceAll(/[^0-9a-f]/g, '')
    : undefined
  if (digits !== undefined) return { networkMac: digits.replaceAll(/(..)(?!$)/g, '$1:') }
  throw usageError(`cannot read $${name}: "${value}" is no hardware address`)
}

function apiVfs(env: Environment): Tuning['apiVfs'] | undefined {
  const name = 'SYSTEMD_NSPAWN_API_VFS_WRITABLE'
  if (env[name] === 'network') return 'network-writable'
  const writable = strict(env, name)
  return writable === undefined ? undefined : writable ? 'writable' : 'read-only'
}

/** The variable for all three comes last, so that it can also take the single ones back. */
function sharedNamespaces(env: Environment): Tuning['shared'] {
  const switches = [
    ['SYSTEMD_NSPAWN_SHARE_NS_IPC', ['ipc']],
    ['SYSTEMD_NSPAWN_SHARE_NS_PID', ['pid']],
    ['SYSTEMD_NSPAWN_SHARE_NS_UTS', ['uts']],
    ['SYSTEMD_NSPAWN_SHARE_SYSTEM', ['ipc', 'pid', 'uts']],
  ] as const
  const shared = new Set<Tuning['shared'][number]>()
  for (const [name, namespaces] of switches) {
    const share = strict(env, name)
    if (share === undefined) continue
    for (const namespace of namespaces) {
      if (share) shared.add(namespace)
      else shared.delete(namespace)
    }
  }
  return [...shared]
}
