/**
 * Limits of a container as files of a control group.
 *
 * @see Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/{memory,devices,blkio-controller}.rst of the kernel
 */
import { cpuWeight } from '../plan/limit-properties.ts'
import type { DeviceRule, IoLimit, ResourceControl } from '../settings/settings.ts'

/** The controllers whose files are written. */
export const limitedControllers = ['memory', 'pids', 'cpu', 'io', 'blkio', 'devices'] as const

/** What a limit is called in the files of a control group, and its value there. */
export interface GroupFile {
  readonly controller: (typeof limitedControllers)[number]
  readonly name: string
  readonly value: string
  /** A kernel without swap accounting has no such file. */
  readonly optional?: boolean
}

const cpuPeriodMicroseconds = 100_000

type Controller = GroupFile['controller']

/** No file for what is not said. */
function file(
  controller: Controller,
  name: string,
  value: number | string | undefined,
  optional = false,
): GroupFile[] {
  if (value === undefined) return []
  return [{ controller, name, value: String(value), ...(optional ? { optional } : {}) }]
}

const quotaOf = ({ cpus }: ResourceControl): number | undefined =>
  cpus === undefined ? undefined : Math.round(cpus * cpuPeriodMicroseconds)

/** The files of version 2, which systemd's scopes have as well. */
export function unifiedFiles(control: ResourceControl): GroupFile[] {
  const { memoryBytes, swapBytes = 0, memoryLowBytes, tasks, cpuShares, ioWeight } = control
  const quota = quotaOf(control)
  const swap = memoryBytes === undefined ? undefined : (swapBytes ?? 'max')
  return [
    ...file('memory', 'memory.max', memoryBytes),
    ...file('memory', 'memory.swap.max', swap, true),
    ...file('memory', 'memory.low', memoryLowBytes),
    ...file('pids', 'pids.max', tasks),
    ...file(
      'cpu',
      'cpu.max',
      quota === undefined ? undefined : `${quota} ${cpuPeriodMicroseconds}`,
    ),
    ...file('cpu', 'cpu.weight', cpuShares === undefined ? undefined : cpuWeight(cpuShares)),
    ...file('io', 'io.weight', ioWeight),
    ...(control.ioLimits ?? []).flatMap((limit) =>
      file('io', 'io.max', `${deviceOf(limit)} ${unifiedNames[limit.what]}=${limit.perSecond}`),
    ),
  ]
}

/** The files of version 1. */
export function legacyFiles(control: ResourceControl): GroupFile[] {
  const { memoryBytes, swapBytes = 0, memoryLowBytes, tasks, cpuShares, ioWeight } = control
  const quota = quotaOf(control)
  const both = memoryBytes === undefined || swapBytes === null ? undefined : memoryBytes + swapBytes
  return [
    ...file('memory', 'memory.limit_in_bytes', memoryBytes),
    ...file('memory', 'memory.memsw.limit_in_bytes', both, true),
    ...file('memory', 'memory.soft_limit_in_bytes', memoryLowBytes),
    ...file('pids', 'pids.max', tasks),
    ...file('cpu', 'cpu.cfs_period_us', quota === undefined ? undefined : cpuPeriodMicroseconds),
    ...file('cpu', 'cpu.cfs_quota_us', quota),
    ...file('cpu', 'cpu.shares', cpuShares),
    ...file('blkio', 'blkio.weight', ioWeight),
    ...(control.ioLimits ?? []).flatMap((limit) =>
      file(
        'blkio',
        `blkio.throttle.${legacyNames[limit.what]}_device`,
        `${deviceOf(limit)} ${limit.perSecond}`,
      ),
    ),
    ...deviceFiles(control.devices),
  ]
}

const deviceOf = ({ device: { major, minor } }: IoLimit): string => `${major}:${minor}`

const unifiedNames: Readonly<Record<IoLimit['what'], string>> = {
  'read-bytes': 'rbps',
  'write-bytes': 'wbps',
  'read-operations': 'riops',
  'write-operations': 'wiops',
}

const legacyNames: Readonly<Record<IoLimit['what'], string>> = {
  'read-bytes': 'read_bps',
  'write-bytes': 'write_bps',
  'read-operations': 'read_iops',
  'write-operations': 'write_iops',
}

/** What every container has in its /dev: null, zero, full, random, urandom, tty, console, ptmx, terminals, fuse, tun. */
const ownDevices = [
  '1:3',
  '1:5',
  '1:7',
  '1:8',
  '1:9',
  '5:0',
  '5:1',
  '5:2',
  '136:*',
  '10:229',
  '10:200',
]

/** Where nothing tells devices apart, that has been said before. */
function deviceFiles(rules: readonly DeviceRule[] | undefined): GroupFile[] {
  if (rules === undefined) return []
  const any = (number: number | 'any') => (number === 'any' ? '*' : String(number))
  const allowed = [
    // A node that nobody may open does no harm, and some are made to cover others.
    'c *:* m',
    'b *:* m',
    ...ownDevices.map((device) => `c ${device} rwm`),
    ...rules.map(
      ({ type, major, minor, access }) =>
        `${type === 'character' ? 'c' : 'b'} ${any(major)}:${any(minor)} ${access}`,
    ),
  ]
  return [
    ...file('devices', 'devices.deny', 'a', true),
    ...allowed.flatMap((rule) => file('devices', 'devices.allow', rule, true)),
  ]
}
