/**
 * A scope unit of systemd for a container that machined gives none: with `--slice=` or `--property=` and no
 * registration. Over the bus interface of systemd (org.freedesktop.systemd1(5)) with busctl.
 */
import type { ContainerPlan } from '../plan/plan.ts'
import { runHostProgram } from './host-program.ts'

const SERVICE = 'org.freedesktop.systemd1'
const MANAGER = [SERVICE, '/org/freedesktop/systemd1', `${SERVICE}.Manager`] as const
const TIMEOUT_MS = 30_000

export type ScopePlan = Pick<ContainerPlan, 'machine' | 'killSignal'> & {
  readonly registration: Pick<ContainerPlan['registration'], 'slice' | 'properties'>
}

/**
 * Puts the leader into `MACHINE.scope`, which goes with its last process.
 *
 * @param controller name on the bus of whom systemd asks to stop the scope; undefined lets it signal the processes
 * @throws NspawnError with what systemd says, such as of a unit of that name or a property that it does not know
 */
export function makeScope(plan: ScopePlan, leader: number, controller: string | undefined): void {
  const unit = `${plan.machine}.scope`
  const step = `cannot make ${unit} in ${plan.registration.slice}`
  const call = ['busctl', 'call', '--', ...MANAGER, 'StartTransientUnit'] as const
  runHostProgram(step, [...call, ...scopeArguments(plan, leader, controller)], TIMEOUT_MS)
  setUnitProperties(unit, plan.registration.properties)
}

/**
 * Sets what `--property=` asks for on a unit, until the host's next boot.
 *
 * @param properties `NAME=VALUE`, in the order given
 * @throws NspawnError with what systemd says of one that it does not know
 */
export function setUnitProperties(unit: string, properties: readonly string[]): void {
  if (properties.length === 0) return
  runHostProgram(
    `cannot set --property= of ${unit}`,
    ['systemctl', 'set-property', '--runtime', '--', unit, ...properties],
    TIMEOUT_MS,
  )
}

/** Name, mode and properties, as busctl(1) wants them; no auxiliary units. */
export function scopeArguments(
  plan: ScopePlan,
  leader: number,
  controller: string | undefined,
): string[] {
  const properties = [
    ['PIDs', 'au', '1', String(leader)],
    ['Description', 's', `Container ${plan.machine}`],
    ...scopeProperties(plan, controller),
  ]
  const count = String(properties.length)
  return ['ssa(sv)a(sa(sv))', `${plan.machine}.scope`, 'fail', count, ...properties.flat(), '0']
}

/** What the scope of a container is: delegated, gone when it is empty, and with few devices (systemd-nspawn@.service). */
export function scopeProperties(plan: ScopePlan, controller: string | undefined): string[][] {
  const { killSignal, registration } = plan
  return [
    ['Slice', 's', registration.slice],
    ['Delegate', 'b', 'true'],
    ['CollectMode', 's', 'inactive-or-failed'],
    ['DevicePolicy', 's', 'closed'],
    ['DeviceAllow', 'a(ss)', '3', '/dev/net/tun', 'rwm', 'char-pts', 'rw', '/dev/fuse', 'rwm'],
    ...(killSignal === undefined
      ? []
      : [
          ['KillSignal', 'i', String(killSignal)],
          ['KillMode', 's', 'mixed'],
        ]),
    ...(controller === undefined ? [] : [['Controller', 's', controller]]),
  ]
}
