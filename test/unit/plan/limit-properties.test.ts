import { expect, test } from 'vitest'
import { cpuWeight, limitProperties } from '../../../src/plan/limit-properties.ts'
import { legacyFiles, unifiedFiles } from '../../../src/runtime/limit-files.ts'
import type { ResourceControl } from '../../../src/settings/settings.ts'

const all: ResourceControl = {
  memoryBytes: 1000,
  swapBytes: 500,
  memoryLowBytes: 100,
  tasks: 7,
  cpus: 1.5,
  cpuShares: 1024,
  ioWeight: 200,
  ioLimits: [
    { device: { major: 8, minor: 1 }, what: 'read-bytes', perSecond: 9 },
    { device: { major: 8, minor: 1 }, what: 'write-operations', perSecond: 10 },
  ],
  devices: [{ type: 'character', major: 10, minor: 229, access: 'rw' }],
}

const written = (files: readonly { readonly name: string; readonly value: string }[]) =>
  files.map(({ name, value }) => `${name} ${value}`)

test('limits are properties of a scope', () => {
  expect(limitProperties(all)).toEqual([
    'MemoryMax=1000',
    'MemorySwapMax=500',
    'MemoryLow=100',
    'TasksMax=7',
    'CPUQuota=150%',
    'CPUWeight=40',
    'IOWeight=200',
    'IOReadBandwidthMax=/dev/block/8:1 9',
    'IOWriteIOPSMax=/dev/block/8:1 10',
    'DeviceAllow=/dev/char/10:229 rw',
  ])
})

test('devices are allowed one by one or all, to a scope', () => {
  const rule = { type: 'block', major: 'any', minor: 'any', access: 'r' } as const
  expect(limitProperties({ devices: [rule] })).toEqual(['DeviceAllow=block-* r'])
  expect(() => limitProperties({ devices: [{ ...rule, major: 8 }] })).toThrow(
    'systemd does not know',
  )
  expect(written(legacyFiles({ devices: [{ ...rule, major: 8 }] })).at(-1)).toBe(
    'devices.allow b 8:* r',
  )
})

test('limits are files of a unified hierarchy', () => {
  expect(written(unifiedFiles(all))).toEqual([
    'memory.max 1000',
    'memory.swap.max 500',
    'memory.low 100',
    'pids.max 7',
    'cpu.max 150000 100000',
    'cpu.weight 40',
    'io.weight 200',
    'io.max 8:1 rbps=9',
    'io.max 8:1 wiops=10',
  ])
})

test('limits are files of one hierarchy for each controller', () => {
  const { devices: _, ...limits } = all
  expect(written(legacyFiles(limits))).toEqual([
    'memory.limit_in_bytes 1000',
    'memory.memsw.limit_in_bytes 1500',
    'memory.soft_limit_in_bytes 100',
    'pids.max 7',
    'cpu.cfs_period_us 100000',
    'cpu.cfs_quota_us 150000',
    'cpu.shares 1024',
    'blkio.weight 200',
    'blkio.throttle.read_bps_device 8:1 9',
    'blkio.throttle.write_iops_device 8:1 10',
  ])
  const [first, ...others] = written(legacyFiles({ devices: all.devices }))
  expect(first).toBe('devices.deny a')
  expect(others).toContain('devices.allow c 1:3 rwm')
  expect(others.at(-1)).toBe('devices.allow c 10:229 rw')
})

test('swap is none, some, or what there is', () => {
  expect(limitProperties({ memoryBytes: 5 })).toEqual(['MemoryMax=5', 'MemorySwapMax=0'])
  expect(limitProperties({ memoryBytes: 5, swapBytes: null })).toContain('MemorySwapMax=infinity')
  expect(written(unifiedFiles({ memoryBytes: 5, swapBytes: null }))).toContain(
    'memory.swap.max max',
  )
  expect(written(legacyFiles({ memoryBytes: 5 }))).toContain('memory.memsw.limit_in_bytes 5')
  expect(written(legacyFiles({ memoryBytes: 5, swapBytes: null }))).toEqual([
    'memory.limit_in_bytes 5',
  ])
})

test('shares are weights', () => {
  expect([2, 1024, 262144].map(cpuWeight)).toEqual([1, 40, 10000])
})
