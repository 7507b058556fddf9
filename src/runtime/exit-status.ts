/** Exit status of the runtime, from how the container ended (systemd-nspawn(1), "Exit Status"). */
import { constants } from 'node:os'
import type { ContainerEnd } from './supervisor.ts'

/** The payload's way to say "start me again" under a service manager; it is not passed on. */
export const REBOOT_STATUS = 133

export interface Verdict {
  readonly status: number
  /** What to tell the user, one sentence; `urgent` even with `--quiet`. */
  readonly text: string
  readonly urgent: boolean
  /** The container asked to be started again. */
  readonly reboot: boolean
}

/** @param keepUnit a service manager does the restart, told by status 133 */
export function judge(end: ContainerEnd, machine: string, keepUnit: boolean): Verdict {
  if (end.kind === 'killed')
    return {
      status: 1,
      text: `Container ${machine} terminated by signal KILL.`,
      urgent: true,
      reboot: false,
    }
  const { reason } = end
  if (reason.kind === 'exited') {
    if (reason.status === 0)
      return {
        status: 0,
        text: `Container ${machine} exited successfully.`,
        urgent: false,
        reboot: false,
      }
    return {
      status: reason.status === REBOOT_STATUS ? 1 : reason.status,
      text: `Container ${machine} failed with error code ${reason.status}.`,
      urgent: false,
      reboot: false,
    }
  }
  // reboot(2) in a pid namespace ends its first process with one of these (pid_namespaces(7)).
  if (reason.signal === constants.signals.SIGINT) {
    return {
      status: 0,
      text: `Container ${machine} has been shut down.`,
      urgent: false,
      reboot: false,
    }
  }
  if (reason.signal === constants.signals.SIGHUP) {
    return {
      status: keepUnit ? REBOOT_STATUS : 0,
      text: `Container ${machine} is being rebooted.`,
      urgent: false,
      reboot: true,
    }
  }
  const name = Object.entries(constants.signals).find(([, number]) => number === reason.signal)?.[0]
  return {
    status: 1,
    text: `Container ${machine} terminated by signal ${name?.replace(/^SIG/, '') ?? reason.signal}.`,
    urgent: true,
    reboot: false,
  }
}
