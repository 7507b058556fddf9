/** What a supervisor does so that others know of its machine: the registry file, and machined where there is one. */
import { fstatSync, readSync } from 'node:fs'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { parseOsRelease } from '../images/os-release.ts'
import type { LogSink } from '../log.ts'
import { sourceOf, type ContainerPlan } from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_NONBLOCK, O_PATH } from '../sys/fd.ts'
import { openInRoot } from '../sys/openat2.ts'
import {
  hasMachined,
  registerInScope,
  registerInUnit,
  unitOf,
  unregister,
  type MachinedEntry,
} from './machined.ts'
import { ownerOf } from '../owner.ts'
import { claimMachine, releaseMachine, updateMachine, type MachineRecord } from './registry.ts'
import { setUnitProperties } from './scope.ts'

/** Called by the supervisor as the start goes on. */
export interface Registration {
  /**
   * The leader exists.
   *
   * @param controller tells the name on the bus of whom systemd is to ask when it stops the machine's scope
   * @returns whether a service manager has given it a scope
   */
  adopt(leader: number, controller: () => string | undefined): 'own' | 'given'
  /** The tree is mounted, the payload takes over. */
  started(): void
  /** The payload says that it is ready. */
  ready(): void
}

const TEXT_MAX_BYTES = 16 * 1024

/**
 * Takes the machine's name; `cleanup` gives it back.
 *
 * @returns undefined with `--register=no`
 * @throws NspawnError `MACHINE_EXISTS`; `NO_MACHINED` when `--register=yes` cannot be
 */
export function registerMachine(
  plan: ContainerPlan,
  log: LogSink,
  cleanup: CleanupStack,
): Registration | undefined {
  const { mode } = plan.registration
  if (mode === 'no') return undefined
  const machined = mode !== 'hidden' && hasMachined()
  if (!machined && mode === 'yes') {
    throw new NspawnError('cannot register with systemd-machined: this host does not run it', {
      code: 'NO_MACHINED',
      operation: 'register',
      subject: plan.machine,
      hint: 'use --register=auto; tsnspawn-build knows the machine all the same',
    })
  }
  const record = newRecord(plan)
  try {
    claimMachine(record)
  } catch (error) {
    if (mode === 'yes' || !isReadOnlyHost(error)) throw error
    log({
      kind: 'warning',
      text: `cannot write the registry of machines: ${(error as Error).message}`,
      hint: 'tsnspawn-build does not know this machine',
    })
    return undefined
  }
  cleanup.defer(`registration of ${plan.machine}`, () => releaseMachine(plan.machine))
  return new Registering(record, { plan, log, cleanup, machined })
}

function isReadOnlyHost(error: unknown): boolean {
  return ['EROFS', 'EACCES', 'EPERM'].includes((error as { code?: string }).code ?? '')
}

interface RegistrationContext {
  readonly plan: ContainerPlan
  readonly log: LogSink
  readonly cleanup: CleanupStack
  readonly machined: boolean
}

class Registering implements Registration {
  #record: MachineRecord
  readonly #context: RegistrationContext

  constructor(record: MachineRecord, context: RegistrationContext) {
    this.#record = record
    this.#context = context
  }

  adopt(pid: number, controller: () => string | undefined): 'own' | 'given' {
    // A leader that has died already is noticed by the supervisor.
    const leader = ownerOf(pid)
    if (leader === undefined) return 'own'
    const scope = this.#tellMachined(pid, controller)
    this.#update({ leader, machined: scope !== undefined })
    return scope ?? 'own'
  }

  started(): void {
    const { leader } = this.#record
    if (leader === null) return
    const { notifyReady } = this.#context.plan
    this.#update({ ...describeTree(leader.pid), state: notifyReady ? 'opening' : 'running' })
  }

  ready(): void {
    if (this.#record.state !== 'running') this.#update({ state: 'running' })
  }

  /** Without room for a better record the one before stays: no reason to end a machine that runs. */
  #update(changes: Partial<MachineRecord>): void {
    this.#record = { ...this.#record, ...changes }
    try {
      updateMachine(this.#record)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      this.#context.log({ kind: 'warning', text: `no room to register ${this.#record.name}` })
    }
  }

  /** @returns undefined when machined is not there, or refuses and need not be obeyed */
  #tellMachined(leader: number, controller: () => string | undefined): 'own' | 'given' | undefined {
    const { plan, log, cleanup, machined } = this.#context
    if (!machined) return undefined
    // A machine that reboots has a new leader.
    if (this.#record.machined) unregister(this.#record.name)
    const { name, service, rootDirectory, network } = this.#record
    const { mode, id, properties } = plan.registration
    const { interfaces } = network
    const entry: MachinedEntry = { name, id, service, leader, rootDirectory, interfaces }
    try {
      if (plan.keepUnit) registerInUnit(entry)
      else registerInScope(entry, plan, controller())
    } catch (error) {
      if (mode === 'yes' || !(error instanceof NspawnError)) throw error
      log({ kind: 'warning', text: error.message, hint: 'machinectl does not know this machine' })
      return undefined
    }
    cleanup.defer(`machine ${name}`, () => unregister(name))
    if (plan.keepUnit) return 'own'
    // Wrong ones are the caller's mistake, whatever machined thinks of the machine.
    if (properties.length > 0) setUnitProperties(unitOf(name), properties)
    return 'given'
  }
}

function newRecord(plan: ContainerPlan): MachineRecord {
  const { users } = plan
  return {
    name: plan.machine,
    hidden: plan.registration.mode === 'hidden',
    class: 'container',
    service: plan.registration.service,
    rootDirectory: sourceOf(plan),
    supervisor: ownerOf('self') ?? { pid: process.pid, startTime: 0 },
    leader: null,
    state: 'opening',
    id: null,
    timestamp: Date.now() * 1000,
    timestampMonotonic: Number(process.hrtime.bigint() / 1000n),
    os: null,
    users: users === undefined ? null : { base: users.base, length: users.length },
    network: { private: plan.namespaces.includes('net'), interfaces: [] },
    machined: false,
    init: plan.registration.init,
    confinement: {
      bounding: plan.capabilities.bounding,
      seccomp: plan.seccomp,
      noNewPrivileges: plan.noNewPrivileges,
    },
  }
}

/** What the machine's own files say of it. The tree is hostile: no path leaves it, nothing there is waited for. */
function describeTree(leader: number): Pick<MachineRecord, 'id' | 'os'> {
  const root = openRootOf(leader)
  if (root === undefined) return { id: null, os: null }
  try {
    const id = readText(root, '/run/host/container-uuid')?.trim().replaceAll('-', '')
    const text = readText(root, '/etc/os-release') ?? readText(root, '/usr/lib/os-release')
    const os = text === undefined ? undefined : parseOsRelease(text)
    return {
      id: id ?? null,
      os:
        os === undefined
          ? null
          : {
              id: shown(os['ID']),
              versionId: shown(os['VERSION_ID']),
              prettyName: shown(os['PRETTY_NAME']),
            },
    }
  } finally {
    close(root)
  }
}

/** What a tree says ends up on terminals, whose cursor it must not move. */
function shown(text: string | undefined): string | null {
  return text?.replace(/\p{Cc}/gu, '').slice(0, 256) ?? null
}

function openRootOf(pid: number): number | undefined {
  try {
    return open(`/proc/${pid}/root`, O_PATH | O_DIRECTORY)
  } catch (error) {
    if (error instanceof NspawnError) return undefined
    throw error
  }
}

function readText(root: number, path: string): string | undefined {
  try {
    const fd = openInRoot(root, path, O_NONBLOCK)
    try {
      if (!fstatSync(fd).isFile()) return undefined
      const buffer = Buffer.alloc(TEXT_MAX_BYTES)
      return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0))
    } finally {
      close(fd)
    }
  } catch (error) {
    if (error instanceof NspawnError) return undefined
    throw error
  }
}
