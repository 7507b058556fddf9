/** Limits of a container as properties of its scope (systemd.resource-control(5)). */
import { usageError } from '../errors.ts'
import type { DeviceRule, IoLimit, ResourceControl } from '../settings/settings.ts'

const ioProperties: Readonly<Record<IoLimit['what'], string>> = {
  'read-bytes': 'IOReadBandwidthMax',
  'write-bytes': 'IOWriteBandwidthMax',
  'read-operations': 'IOReadIOPSMax',
  'write-operations': 'IOWriteIOPSMax',
}

/**
 * `NAME=VALUE`, in the order in which they are set.
 *
 * @throws NspawnError (`USAGE`) for what there is no property for
 */
export function limitProperties(control: ResourceControl): string[] {
  const { memoryBytes, swapBytes = 0, memoryLowBytes, tasks, cpus, cpuShares, ioWeight } = control
  const memory =
    memoryBytes === undefined
      ? []
      : [`MemoryMax=${memoryBytes}`, `MemorySwapMax=${swapBytes ?? 'infinity'}`]
  return [
    ...memory,
    ...(memoryLowBytes === undefined ? [] : [`MemoryLow=${memoryLowBytes}`]),
    ...(tasks === undefined ? [] : [`TasksMax=${tasks}`]),
    ...(cpus === undefined ? [] : [`CPUQuota=${Math.round(cpus * 100)}%`]),
    ...(cpuShares === undefined ? [] : [`CPUWeight=${cpuWeight(cpuShares)}`]),
    ...(ioWeight === undefined ? [] : [`IOWeight=${ioWeight}`]),
    ...(control.ioLimits ?? []).map(
      ({ device, what, perSecond }) =>
        `${ioProperties[what]}=/dev/block/${device.major}:${device.minor} ${perSecond}`,
    ),
    ...(control.devices ?? []).map((rule) => `DeviceAllow=${deviceNode(rule)} ${rule.access}`),
  ]
}

function deviceNode({ type, major, minor }: DeviceRule): string {
  const directory = type === 'character' ? 'char' : 'block'
  if (major === 'any') return `${directory}-*`
  if (minor !== 'any') return `/dev/${directory}/${major}:${minor}`
  throw usageError(
    `systemd does not know all devices of the number ${major} as a group`,
    'name each of them',
  )
}

/** Shares of 2 to 262144 as weights of 1 to 10000, the way that runtimes agree on. */
export function cpuWeight(shares: number): number {
  return Math.max(1, Math.round(1 + ((shares - 2) * 9999) / 262142))
}
