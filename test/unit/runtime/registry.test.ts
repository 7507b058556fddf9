import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ownerOf, type Owner } from '../../../src/owner.ts'
import {
  claimMachine,
  findClaim,
  findMachine,
  listMachines,
  releaseMachine,
  updateMachine,
  type MachineRecord,
} from '../../../src/runtime/registry.ts'

let place: string
const directory = () => join(place, 'machines')
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'registry-'))
  vi.stubEnv('TSNSPAWN_RUNTIME_DIR', place)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(place, { recursive: true })
})

const self = ownerOf(process.pid) as Owner

function record(name: string, changes: Partial<MachineRecord> = {}): MachineRecord {
  return {
    name,
    hidden: false,
    class: 'container',
    service: 'systemd-nspawn',
    rootDirectory: '/tree',
    supervisor: self,
    leader: self,
    state: 'running',
    id: null,
    timestamp: 1,
    timestampMonotonic: 1,
    os: null,
    users: null,
    network: { private: false, interfaces: [] },
    machined: false,
    init: 'payload',
    confinement: { bounding: '0', seccomp: [], noNewPrivileges: false },
    ...changes,
  }
}

/** A process that has been, and is no more. */
async function deadOwner(): Promise<Owner> {
  const child = spawn('sleep', ['60'])
  const owner = ownerOf(child.pid as number) as Owner
  child.kill('SIGKILL')
  await once(child, 'exit')
  return owner
}

test('a machine is found from its claim to its release, by everybody', () => {
  claimMachine(record('web'))
  expect(statSync(join(directory(), 'web.json')).mode & 0o7777).toBe(0o644)
  expect(statSync(directory()).mode & 0o7777).toBe(0o755)
  expect(findMachine('web')?.rootDirectory).toBe('/tree')
  expect(listMachines().map(({ name }) => name)).toEqual(['web'])
  updateMachine(record('web', { id: 'f'.repeat(32) }))
  expect(findMachine('web')?.id).toBe('f'.repeat(32))
  releaseMachine('web')
  expect(findMachine('web')).toBeUndefined()
  expect(readdirSync(directory())).toEqual([])
})

test('a name is given once', () => {
  claimMachine(record('web'))
  expect(() => claimMachine(record('web', { id: 'f'.repeat(32) }))).toThrow(
    'machine web already exists',
  )
  expect(findMachine('web')?.id).toBeNull()
  claimMachine(record('other'))
  expect(readdirSync(directory()).toSorted()).toEqual(['other.json', 'web.json'])
})

test('a machine without a first process has its name, but is not running', () => {
  claimMachine(record('web', { leader: null }))
  expect(findMachine('web')).toBeUndefined()
  expect(findClaim('web')?.name).toBe('web')
})

test('what a dead supervisor left counts for nothing, and goes at the next claim', async () => {
  const dead = await deadOwner()
  claimMachine(record('gone', { supervisor: dead }))
  writeFileSync(join(directory(), `.#gone.${dead.pid}-${dead.startTime}`), '{')
  expect(listMachines()).toEqual([])
  expect(findMachine('gone')).toBeUndefined()
  claimMachine(record('gone'))
  expect(readdirSync(directory())).toEqual(['gone.json'])
})

test('a pid that somebody else has by now does not keep a record alive', () => {
  claimMachine(record('web', { supervisor: { ...self, startTime: self.startTime + 1 } }))
  expect(findMachine('web')).toBeUndefined()
  claimMachine(record('web'))
  claimMachine(record('next', { leader: { ...self, startTime: self.startTime + 1 } }))
  expect(findMachine('next')).toBeUndefined()
})

test('a file that is no record is nobody’s', () => {
  mkdirSync(directory())
  writeFileSync(join(directory(), 'web.json'), '{"name":')
  expect(listMachines()).toEqual([])
  claimMachine(record('web'))
  expect(findMachine('web')?.name).toBe('web')
})

test('a machine that is hidden is found by who knows its name, and in no list', () => {
  claimMachine(record('part-of-a-build', { hidden: true }))
  expect(listMachines()).toEqual([])
  expect(findMachine('part-of-a-build')).toMatchObject({ hidden: true })
})
