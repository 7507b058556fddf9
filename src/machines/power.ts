/** Ending and restarting machines (machinectl(1): poweroff, reboot, terminate, kill). */
import { setTimeout as sleep } from 'node:timers/promises'
import { NspawnError } from '../errors.ts'
import { isOwnerAlive } from '../owner.ts'
import { findClaim } from '../runtime/registry.ts'
import { readinessFor } from '../runtime/signal-readiness.ts'
import { SIGINT, SIGKILL, SIGRTMIN, SIGTERM } from '../sys/process.ts'
import type { RunningMachine } from '../runtime/registry.ts'
import { machineProcesses, signalProcess } from './processes.ts'

/** What systemd as init and our stub init take for "power off" and "reboot". */
const POWER_OFF = SIGRTMIN + 4
const REBOOT = SIGINT

const END_TIMEOUT_MS = 30_000
const LOOK_MS = 20

/**
 * Asks the machine to shut down in an orderly way. One that knows nothing of the usual request but catches SIGTERM, as
 * a plain service does, gets that.
 *
 * @throws NspawnError `MACHINE_DEAF` when its first process would not notice either
 */
export function powerOff(machine: RunningMachine): void {
  const signal = [POWER_OFF, SIGTERM].find((wanted) => heeds(machine, wanted))
  if (signal === undefined) throw deaf(machine, 'power off')
  signalProcess(machine.leader, signal)
}

/** Asks the machine to restart. @throws NspawnError `MACHINE_DEAF` when its first process would not notice */
export function reboot(machine: RunningMachine): void {
  if (!heeds(machine, REBOOT)) throw deaf(machine, 'reboot')
  signalProcess(machine.leader, REBOOT)
}

/**
 * Ends the machine at once: with its first process all others go, and its supervisor undoes the rest.
 *
 * @returns when that has been undone
 * @throws NspawnError `TIMED_OUT` when it takes longer than half a minute
 */
export async function terminate(machine: RunningMachine): Promise<void> {
  signalProcess(machine.leader, SIGKILL)
  const deadlineMs = performance.now() + END_TIMEOUT_MS
  while (isOwnerAlive(machine.leader) || holdsName(machine)) {
    if (performance.now() > deadlineMs) {
      throw new NspawnError(`machine ${machine.name} does not end`, {
        code: 'TIMED_OUT',
        subject: machine.name,
        hint: `its supervisor has pid ${machine.supervisor.pid}`,
      })
    }
    await sleep(LOOK_MS)
  }
}

/** Sends a signal to the first process, or to every one; the supervisor on the host is none of them. */
export function killMachine(machine: RunningMachine, whom: 'leader' | 'all', signal: number): void {
  const targets = whom === 'leader' ? [machine.leader] : machineProcesses(machine)
  if (targets === undefined) {
    throw new NspawnError(`only root sees the processes of machine ${machine.name}`, {
      code: 'EACCES',
      operation: 'kill',
      subject: machine.name,
    })
  }
  for (const target of targets) signalProcess(target, signal)
}

/** Whether the supervisor still has this very run of the machine registered. */
function holdsName(machine: RunningMachine): boolean {
  const claim = findClaim(machine.name)
  return (
    claim !== undefined &&
    claim.supervisor.pid === machine.supervisor.pid &&
    claim.timestampMonotonic === machine.timestampMonotonic
  )
}

/** Our stub init waits in sigtimedwait(2), and what it waits for is nowhere to be seen. */
function heeds(machine: RunningMachine, signal: number): boolean {
  return machine.init === 'stub' || readinessFor(signal, machine.leader.pid) !== 'not yet'
}

function deaf(machine: RunningMachine, what: string): NspawnError {
  return new NspawnError(
    `the first process of machine ${machine.name} takes no request to ${what}`,
    {
      code: 'MACHINE_DEAF',
      subject: machine.name,
      hint: 'tsnspawn-build terminate ends the machine at once; --as-pid2 and --boot give it an init that listens',
    },
  )
}
