/** What an OCI bundle adds to a plan beyond settings that options have, too. */
import { usageError } from '../errors.ts'
import type { BundleSettings, Settings } from '../settings/settings.ts'
import { capabilityMask, missingCapabilities, type CapabilitySets } from './capabilities.ts'
import type { HostFacts } from './host-facts.ts'
import type { ContainerPlan, Step } from './plan.ts'
import { compileProfile } from './seccomp/profile.ts'
import type { SeccompProgram } from './seccomp/assemble.ts'

/** What is in /dev of every container, whoever asks for it. */
const ownNodes = [
  'console',
  'core',
  'fd',
  'mqueue',
  'ptmx',
  'pts',
  'shm',
  'stderr',
  'stdin',
  'stdout',
]

/** @throws NspawnError (`USAGE`) where the runtime does not have what the payload is to get */
export function bundleCapabilities(
  { capabilities }: BundleSettings,
  facts: HostFacts,
  userNamespace: boolean,
): CapabilitySets | undefined {
  if (capabilities === undefined) return undefined
  const asked = [...new Set(Object.values(capabilities).flat())]
  const missing = userNamespace ? [] : missingCapabilities(asked, facts.boundingSet)
  if (missing.length > 0) {
    throw usageError(
      `capabilities of the bundle that are not in the current bounding set: ${missing.join(' ')}`,
      'take them out of process.capabilities',
    )
  }
  const { bounding, effective, permitted, inheritable, ambient } = capabilities
  return {
    bounding: capabilityMask(bounding),
    effective: capabilityMask(effective),
    permitted: capabilityMask(permitted),
    inheritable: capabilityMask(inheritable),
    ambient: capabilityMask(ambient),
  }
}

/** Nodes in /dev beside those that are made anyway. */
export function bundleDevices({ bundle }: Settings, facts: HostFacts): Step[] {
  const made = new Set([...ownNodes, ...facts.devices.map(({ name }) => name)])
  const devices = (bundle?.devices ?? []).filter(
    ({ path }) => !made.has(path.slice('/dev/'.length)),
  )
  return devices.flatMap(({ path, type, major, minor, mode, uid, gid }): Step[] => {
    const parent = path.slice(0, path.lastIndexOf('/'))
    const above: Step[] =
      parent === '/dev' ? [] : [{ kind: 'directory', path: parent, mode: 0o755 }]
    const owner = { uid, gid }
    if (type === 'fifo') return [...above, { kind: 'fifo', path, mode, owner }]
    const hostPath = `/dev/${type === 'character' ? 'char' : 'block'}/${major}:${minor}`
    return [...above, { kind: 'device', path, hostPath, type, major, minor, mode, owner }]
  })
}

/** Right behind /proc, as long as it can be written to. */
export function bundleSysctls({ bundle }: Settings): Step[] {
  return Object.entries(bundle?.sysctls ?? {}).map(([name, value]) => ({
    kind: 'sysctl',
    name,
    value,
  }))
}

/** The programs of a profile; undefined without one. */
export function bundleSeccomp(settings: Settings, facts: HostFacts): SeccompProgram[] | undefined {
  const { bundle, tuning } = settings
  if (bundle?.seccomp === undefined) return undefined
  if (!facts.seccomp || tuning.seccomp === 'off') return []
  return [
    {
      purpose: 'system call filter of the bundle',
      log: bundle.seccomp.log || tuning.seccomp === 'log',
      instructions: compileProfile(bundle.seccomp, facts.architecture),
    },
  ]
}

export function bundleParts({ bundle }: Settings): Pick<ContainerPlan, 'consoleSize' | 'hooks'> {
  if (bundle === undefined) return {}
  const { hooks, version, path, annotations, consoleSize } = bundle
  const any = Object.values(hooks).some((list) => list.length > 0)
  return {
    ...(consoleSize === undefined ? {} : { consoleSize }),
    ...(any ? { hooks: { hooks, version, bundle: path, annotations } } : {}),
  }
}
