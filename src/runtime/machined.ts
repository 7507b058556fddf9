/**
 * systemd-machined, where there is one: telling it of a machine, so that machinectl, journalctl -M and ps know it too.
 * Over its bus interface (org.freedesktop.machine1(5)) with busctl, which is there wherever machined is.
 */
import { existsSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { runHostProgram } from './host-program.ts'
import { scopeProperties, type ScopePlan } from './scope.ts'

const SERVICE = 'org.freedesktop.machine1'
const MANAGER = [SERVICE, '/org/freedesktop/machine1', `${SERVICE}.Manager`] as const
const TIMEOUT_MS = 30_000
const definitions = [
  '/usr/share/dbus-1/system-services/org.freedesktop.machine1.service',
  '/usr/local/share/dbus-1/system-services/org.freedesktop.machine1.service',
]

/** What machined is told. */
export interface MachinedEntry {
  readonly name: string
  /** 32 hexadecimal digits; undefined when it is not known. */
  readonly id: string | undefined
  readonly service: string
  readonly leader: number
  readonly rootDirectory: string
  readonly interfaces: readonly number[]
}

/** Whether this host was booted with systemd, has a bus, and machined is installed. */
export function hasMachined(): boolean {
  return (
    existsSync('/run/systemd/system') &&
    existsSync('/run/dbus/system_bus_socket') &&
    definitions.some((path) => existsSync(path))
  )
}

/** A machine that stays in the unit its leader is in (`--keep-unit`). */
export function registerInUnit(entry: MachinedEntry): void {
  call('RegisterMachineWithNetwork', 'sayssusai', registerArguments(entry))
}

/** A machine that gets a scope unit of its own; `controller` as for `makeScope()`. */
export function registerInScope(
  entry: MachinedEntry,
  plan: ScopePlan,
  controller: string | undefined,
): void {
  const scope = scopeProperties(plan, controller)
  call('CreateMachineWithNetwork', 'sayssusaia(sv)', [
    ...registerArguments(entry),
    String(scope.length),
    ...scope.flat(),
  ])
}

export function unregister(name: string): void {
  try {
    call('UnregisterMachine', 's', [name])
  } catch (error) {
    // machined has noticed the leader's end itself, or is gone.
    if (!(error instanceof NspawnError)) throw error
  }
}

/** The unit that a registered machine is in. */
export function unitOf(name: string): string {
  const path = /"(.*)"/.exec(call('GetMachine', 's', [name]))?.[1] ?? ''
  const property = runHostProgram(
    `cannot find the unit of machine ${name}`,
    ['busctl', 'get-property', SERVICE, path, `${SERVICE}.Machine`, 'Unit'],
    TIMEOUT_MS,
  )
  return JSON.parse(/".*"/.exec(property)?.[0] ?? '""') as string
}

function call(method: string, signature: string, args: readonly string[]): string {
  const argv = ['busctl', 'call', '--', ...MANAGER, method, signature, ...args] as const
  return runHostProgram('cannot register with systemd-machined', argv, TIMEOUT_MS)
}

/** Name, id, service, class, leader, root directory and interfaces, as busctl(1) wants them. */
export function registerArguments(entry: MachinedEntry): string[] {
  const bytes = entry.id === undefined ? [] : [...Buffer.from(entry.id, 'hex')]
  return [
    entry.name,
    String(bytes.length),
    ...bytes.map(String),
    entry.service,
    'container',
    String(entry.leader),
    entry.rootDirectory,
    String(entry.interfaces.length),
    ...entry.interfaces.map(String),
  ]
}
