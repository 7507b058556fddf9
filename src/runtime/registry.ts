/**
 * The registry of running machines on hosts where no systemd keeps one: a file NAME.json for each, world readable,
 * written by the machine's supervisor and removed by it at the end. What a killed supervisor left is told by its pid
 * and start time, and swept by whoever comes next.
 */
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { tryLockFileAt } from '../images/lock.ts'
import { registryDirectory } from '../paths.ts'
import type { RegistrationPlan } from '../plan/plan.ts'
import type { SeccompProgram } from '../plan/seccomp/assemble.ts'
import { isOwnerAlive, ownOwner, parseOwner, type Owner } from '../owner.ts'

/** What others may know of a running machine. */
export interface MachineRecord {
  readonly name: string
  /** Not for lists: a step of something larger. */
  readonly hidden: boolean
  readonly class: 'container'
  /** The program that registers itself, as machinectl shows it. */
  readonly service: string
  /** The tree on the host; the lowest layer of an overlay. */
  readonly rootDirectory: string
  /** Who watches over the machine. */
  readonly supervisor: Owner
  /** The machine's first process; null until it exists. */
  readonly leader: Owner | null
  /** `opening` until the payload says that it is ready, or at once when it is not asked to. */
  readonly state: 'opening' | 'running'
  /** Machine ID: 32 hexadecimal digits; null until it is known. */
  readonly id: string | null
  /** When it was registered, in microseconds: since 1970, and of CLOCK_MONOTONIC. */
  readonly timestamp: number
  readonly timestampMonotonic: number
  /** From the tree's os-release at the start. */
  readonly os: {
    readonly id: string | null
    readonly versionId: string | null
    readonly prettyName: string | null
  } | null
  /** Ids of the host that the container's users have; null without a user namespace. */
  readonly users: { readonly base: number; readonly length: number } | null
  readonly network: {
    readonly private: boolean
    /** Indexes of the host's side of its links. */
    readonly interfaces: readonly number[]
  }
  /** Whether systemd-machined knows it too. */
  readonly machined: boolean
  readonly init: RegistrationPlan['init']
  /** What the payload was started under, for processes that enter the machine later. */
  readonly confinement: {
    /** Bounding set: bit N for capability N, in hexadecimal. */
    readonly bounding: string
    readonly seccomp: readonly SeccompProgram[]
    readonly noNewPrivileges: boolean
  }
}

/** One whose first process exists. */
export interface RunningMachine extends MachineRecord {
  readonly leader: Owner
}

const SUFFIX = '.json'
const LOCK_WAIT_MS = 5000

/**
 * Takes a name, for as long as the caller lives.
 *
 * @throws NspawnError `MACHINE_EXISTS` when a living supervisor has it
 */
export function claimMachine(record: MachineRecord): void {
  const directory = registryDirectory()
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  underLock(directory, () => {
    sweep(directory)
    const temporary = writeTemporary(directory, record)
    try {
      linkSync(temporary, fileOf(directory, record.name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      throw new NspawnError(`machine ${record.name} already exists`, {
        code: 'MACHINE_EXISTS',
        operation: 'register',
        subject: record.name,
        hint: 'choose another name with --machine=, or leave it out of the registry with --register=no',
      })
    } finally {
      unlinkSync(temporary)
    }
  })
}

/** Replaces the caller's own record, at once for every reader. */
export function updateMachine(record: MachineRecord): void {
  const directory = registryDirectory()
  renameSync(writeTemporary(directory, record), fileOf(directory, record.name))
}

/** Gives the name back. */
export function releaseMachine(name: string): void {
  removeIfThere(fileOf(registryDirectory(), name))
}

/** The machines whose supervisor and leader live, by name, save those that are hidden. */
export function listMachines(): RunningMachine[] {
  const directory = registryDirectory()
  return entriesOf(directory)
    .filter((entry) => entry.endsWith(SUFFIX) && !entry.startsWith('.'))
    .toSorted()
    .flatMap((entry) => {
      const record = readRecord(join(directory, entry))
      return record !== undefined && isAlive(record) && !record.hidden ? [record] : []
    })
}

/** The machine of this name; undefined when none is running. */
export function findMachine(name: string): RunningMachine | undefined {
  const record = readRecord(fileOf(registryDirectory(), name))
  return record !== undefined && isAlive(record) ? record : undefined
}

/** A record that a supervisor has claimed, its machine running yet or not; undefined when it is nobody's. */
export function findClaim(name: string): MachineRecord | undefined {
  const record = readRecord(fileOf(registryDirectory(), name))
  return record !== undefined && isOwnerAlive(record.supervisor) ? record : undefined
}

function isAlive(record: MachineRecord): record is RunningMachine {
  return isOwnerAlive(record.supervisor) && record.leader !== null && isOwnerAlive(record.leader)
}

/** One at a time: who finds a dead record must not remove the one that another has put in its place. */
function underLock(directory: string, work: () => void): void {
  const path = join(directory, '.lock')
  const deadlineMs = performance.now() + LOCK_WAIT_MS
  for (;;) {
    const lock = tryLockFileAt(path, 'exclusive')
    if (lock !== undefined) {
      try {
        return work()
      } finally {
        lock.release()
      }
    }
    if (performance.now() > deadlineMs) {
      throw new NspawnError('cannot lock the registry of machines', {
        code: 'EBUSY',
        operation: 'lock',
        subject: path,
      })
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2)
  }
}

function sweep(directory: string): void {
  for (const entry of entriesOf(directory)) {
    const path = join(directory, entry)
    const temporaryOwner = /^\.#.*\.(\d+-\d+)$/.exec(entry)?.[1]
    if (temporaryOwner === undefined && !entry.endsWith(SUFFIX)) continue
    const owner =
      temporaryOwner === undefined ? readRecord(path)?.supervisor : parseOwner(temporaryOwner)
    if (owner === undefined || !isOwnerAlive(owner)) removeIfThere(path)
  }
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return []
  }
}

/** Records are replaced in one go, so what cannot be read as one is nobody's. */
function readRecord(path: string): MachineRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as MachineRecord
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function writeTemporary(directory: string, record: MachineRecord): string {
  const path = join(directory, `.#${record.name}.${ownOwner()}`)
  writeFileSync(path, `${JSON.stringify(record)}\n`)
  chmodSync(path, 0o644)
  return path
}

function fileOf(directory: string, name: string): string {
  return join(directory, `${name}${SUFFIX}`)
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
