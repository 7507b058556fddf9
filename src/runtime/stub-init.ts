/**
 * The stub init of `--as-pid2`: the container's first process, which only reaps, and turns the signals that mean
 * "shut down" into an end of the payload (systemd-nspawn(1), `--as-pid2`).
 */
import { readFileSync } from 'node:fs'
import type { ContainerPlan } from '../plan/plan.ts'
import { letGoOfDescriptors } from '../sys/fd.ts'
import { forkChildWithNextPid } from '../sys/fork.ts'
import {
  createSession,
  exitProcess,
  kill,
  prctl,
  reboot,
  resetSignalHandlers,
  setProcessName,
  setSignalMask,
  waitForChild,
  waitForSignal,
  writeMemory,
  PR_SET_PDEATHSIG,
  RB_AUTOBOOT,
  RB_POWER_OFF,
  SIGCHLD,
  SIGCONT,
  SIGHUP,
  SIGINT,
  SIGKILL,
  SIGRTMIN,
  SIGTERM,
  type ExitReason,
} from '../sys/process.ts'
import { sendFailure } from './messages.ts'

const END_TIMEOUT_MS = 90_000
const POWER_OFF_SIGNALS = [3, 4, 13, 14].map((n) => SIGRTMIN + n)
const REBOOT_SIGNALS = [SIGINT, ...[5, 6, 15, 16].map((n) => SIGRTMIN + n)]

/**
 * Forks: the child becomes the payload, this process its init.
 *
 * @param begin execs the payload; throws when it cannot
 */
export function startUnderStubInit(
  plan: ContainerPlan,
  channels: { readonly supervisor: number; readonly containerUuid: string },
  begin: () => void,
): never {
  setSignalMask('all')
  // The payload's pid is 2, as the option says.
  const payload = forkChildWithNextPid()
  if (payload === 0) {
    try {
      createSession()
      begin()
    } catch (error) {
      sendFailure(channels.supervisor, error)
    }
    exitProcess(1)
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL)
  setProcessName('(sd-stubinit)')
  resetSignalHandlers()
  letGoOfDescriptors()
  replaceCommandLine('(sd-stubinit)', [
    `container=${plan.payload.environment.find((item) => item.startsWith('container='))?.slice(10) ?? ''}`,
    `container_uuid=${channels.containerUuid.replaceAll('-', '')}`,
  ])
  return superviseAsInit(payload)
}

function superviseAsInit(payload: number): never {
  let ending: 'power-off' | 'reboot' | undefined
  let deadlineMs = Infinity
  const watched = [SIGCHLD, ...POWER_OFF_SIGNALS, ...REBOOT_SIGNALS]
  for (;;) {
    const reason = reapUntil(payload)
    if (reason !== undefined) finish(ending, reason)
    const leftMs = deadlineMs - performance.now()
    if (leftMs <= 0) finish(ending, { kind: 'signaled', signal: SIGKILL })
    const signal = waitForSignal(watched, leftMs === Infinity ? undefined : leftMs)
    if (signal === undefined || signal === SIGCHLD) continue
    ending = POWER_OFF_SIGNALS.includes(signal) ? 'power-off' : 'reboot'
    kill(payload, SIGTERM)
    kill(payload, SIGCONT)
    kill(payload, SIGHUP)
    deadlineMs = performance.now() + END_TIMEOUT_MS
  }
}

/** Reaps everybody who has ended; how the payload ended, if it has. */
function reapUntil(payload: number): ExitReason | undefined {
  let reason: ExitReason | undefined
  for (let ended = waitForChild(-1, 'no'); ended !== undefined; ended = waitForChild(-1, 'no')) {
    if (ended.pid === payload) reason = ended.reason
  }
  return reason
}

function finish(ending: 'power-off' | 'reboot' | undefined, reason: ExitReason): never {
  if (ending === 'reboot') reboot(RB_AUTOBOOT)
  if (ending === 'power-off') reboot(RB_POWER_OFF)
  exitProcess(reason.kind === 'exited' ? reason.status : 255)
}

/**
 * Overwrites this process's command line and environment where the kernel reads them (proc(5), `arg_start` …
 * `env_end`), so that the container does not see the caller's.
 */
function replaceCommandLine(title: string, environment: readonly string[]): void {
  const stat = readFileSync('/proc/self/stat', 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [argStart, argEnd, envStart, envEnd] = [45, 46, 47, 48].map((i) => BigInt(fields[i] ?? '0'))
  fill(argStart ?? 0n, argEnd ?? 0n, `${title}\0`)
  fill(envStart ?? 0n, envEnd ?? 0n, environment.map((item) => `${item}\0`).join(''))
}

function fill(start: bigint, end: bigint, text: string): void {
  const length = Number(end - start)
  if (start === 0n || length <= 0) return
  const bytes = Buffer.alloc(length)
  bytes.write(text, 0, length - 1)
  writeMemory(start, bytes)
}
