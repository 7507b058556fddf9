/** `linux.resources` of a bundle as limits that all processes of the container share (config-linux.md). */
import type { DeviceRule, IoLimit, ResourceControl } from '../settings.ts'
import { addProcessors } from '../values/cpu-list.ts'
import type { Reading } from './bundle.ts'
import { badBundle } from './config.ts'
import type { Config } from './schema.ts'

type Resources = NonNullable<NonNullable<Config['linux']>['resources']>

const DEFAULT_PERIOD_MICROSECONDS = 100_000
/** The kernel's own bounds of cpu.shares. */
const LEAST_SHARES = 2

export function resourceEntries(resources: Resources | undefined, reading: Reading): void {
  if (resources === undefined) return
  const { text, say } = reading
  const field = ['linux', 'resources']
  const { cpu } = resources
  const control: ResourceControl = {
    ...memoryControl(resources, text.path),
    ...cpuControl(resources, text.path),
    ...above0('tasks', resources.pids?.limit),
    ...(resources.blockIO?.weight === undefined ? {} : { ioWeight: resources.blockIO.weight }),
    ...ioControl(resources),
    ...deviceControl(resources, text.path),
  }
  if (Object.keys(control).length > 0) {
    say(undefined, field.join('.'), ({ settings }) => {
      settings.resourceControl = { ...settings.resourceControl, ...control }
    })
  }
  if (cpu?.cpus === undefined || cpu.cpus === '') return
  try {
    const processors = addProcessors(undefined, cpu.cpus)
    say('cpu-affinity', 'linux.resources.cpu.cpus', (draft) => {
      draft.processors = processors
    })
  } catch (error) {
    throw badBundle(text.path, [...field, 'cpu', 'cpus'], (error as Error).message)
  }
}

/** -1 is no limit; 0 processes would be none at all, and runtimes take it for none, too. */
function above0<Key extends 'tasks' | 'memoryBytes' | 'memoryLowBytes'>(
  key: Key,
  value: number | undefined,
): { readonly [K in Key]?: number } {
  return value === undefined || value <= 0 ? {} : ({ [key]: value } as { [K in Key]: number })
}

/** The specification's `swap` is memory and swap together. */
function memoryControl({ memory = {} }: Resources, file: string): ResourceControl {
  const { limit = -1, reservation, swap } = memory
  const swapBytes = swap === undefined || swap < 0 ? null : swap - limit
  if (swap !== undefined && swap >= 0 && (limit <= 0 || swap < limit)) {
    throw badBundle(
      file,
      ['linux', 'resources', 'memory', 'swap'],
      limit <= 0 ? 'it needs a limit of the memory' : 'it is less than the limit of the memory',
    )
  }
  return {
    ...above0('memoryBytes', limit),
    ...(limit > 0 ? { swapBytes } : {}),
    ...above0('memoryLowBytes', reservation),
  }
}

function cpuControl({ cpu = {} }: Resources, file: string): ResourceControl {
  const { shares = 0, quota = -1, period = 0 } = cpu
  if (shares > 0 && shares < LEAST_SHARES)
    throw badBundle(
      file,
      ['linux', 'resources', 'cpu', 'shares'],
      `it is less than ${LEAST_SHARES}`,
    )
  const cpus = quota / (period === 0 ? DEFAULT_PERIOD_MICROSECONDS : period)
  return {
    ...(shares === 0 ? {} : { cpuShares: shares }),
    ...(quota <= 0 ? {} : { cpus }),
  }
}

function ioControl({ blockIO = {} }: Resources): ResourceControl {
  const limits = (
    what: IoLimit['what'],
    list: NonNullable<Resources['blockIO']>['throttleReadBpsDevice'] = [],
  ): IoLimit[] =>
    list.map(({ major, minor, rate }) => ({ device: { major, minor }, what, perSecond: rate }))
  const ioLimits = [
    ...limits('read-bytes', blockIO.throttleReadBpsDevice),
    ...limits('write-bytes', blockIO.throttleWriteBpsDevice),
    ...limits('read-operations', blockIO.throttleReadIOPSDevice),
    ...limits('write-operations', blockIO.throttleWriteIOPSDevice),
  ]
  return ioLimits.length === 0 ? {} : { ioLimits }
}

/** The rules are a list from which all is forbidden first, or none that forbids. */
function deviceControl({ devices: rules = [] }: Resources, file: string): ResourceControl {
  const allowed: DeviceRule[] = []
  let listed = false
  for (const [
    at,
    { allow, type = 'a', major = -1, minor = -1, access = 'rwm' },
  ] of rules.entries()) {
    const field = ['linux', 'resources', 'devices', at]
    if (!allow) {
      const all =
        type === 'a' && major === -1 && minor === -1 && /^(?=.*r)(?=.*w)(?=.*m)/.test(access)
      if (!all || allowed.length > 0) {
        throw badBundle(
          file,
          field,
          'single devices cannot be forbidden',
          'forbid all of them first, and allow what is to be had',
        )
      }
      listed = true
      continue
    }
    if (major === -1 && minor !== -1)
      throw badBundle(file, field, 'a minor number needs a major one')
    const types =
      type === 'a'
        ? (['character', 'block'] as const)
        : ([type === 'c' ? 'character' : 'block'] as const)
    for (const one of types) {
      allowed.push({
        type: one,
        major: major === -1 ? 'any' : major,
        minor: minor === -1 ? 'any' : minor,
        access,
      })
    }
  }
  return listed ? { devices: allowed } : {}
}
