/**
 * The programs that an OCI bundle runs at moments of its container's life. Each is told the state of the container as
 * JSON on stdin (OCI runtime specification, runtime.md, "State"; config.md, "POSIX-platform Hooks").
 */
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import type { ContainerPlan, HooksPlan } from '../plan/plan.ts'
import type { Hook } from '../settings/settings.ts'
import { runProgram } from './host-program.ts'

type Status = 'creating' | 'created' | 'running' | 'stopped'
type HookName = keyof HooksPlan['hooks']

export type HookedPlan = Pick<ContainerPlan, 'machine' | 'hooks'>

/** Whether something is to be run when the namespaces are there and the payload is not. */
export function waitsForHooks({ hooks }: HookedPlan): boolean {
  return hooks !== undefined && hooks.hooks.prestart.length + hooks.hooks.createRuntime.length > 0
}

/** @throws NspawnError of the first that fails */
export function runCreationHooks(plan: HookedPlan, leader: number): void {
  runAll(plan, 'prestart', 'creating', leader)
  runAll(plan, 'createRuntime', 'creating', leader)
}

/**
 * In the container, in one of its processes.
 *
 * @param confine leaves a process no more than the payload will have
 * @throws NspawnError of the first that fails
 */
export function runStartHooks(plan: HookedPlan, confine: () => void): void {
  runAll(plan, 'startContainer', 'created', 1, confine)
}

/** The container goes on whatever they do. */
export function runStartedHooks(plan: HookedPlan, leader: number, log: LogSink): void {
  runWillingly(plan, 'poststart', 'running', leader, log)
}

/** When nothing is left of it. */
export function runStoppedHooks(plan: HookedPlan, log: LogSink): void {
  runWillingly(plan, 'poststop', 'stopped', undefined, log)
}

function runAll(
  plan: HookedPlan,
  name: HookName,
  status: Status,
  pid: number | undefined,
  prepare?: () => void,
): void {
  for (const hook of plan.hooks?.hooks[name] ?? []) runHook(plan, name, hook, status, pid, prepare)
}

/** What fails is told, and the others are run. */
function runWillingly(
  plan: HookedPlan,
  name: HookName,
  status: Status,
  pid: number | undefined,
  log: LogSink,
): void {
  for (const hook of plan.hooks?.hooks[name] ?? []) {
    try {
      runHook(plan, name, hook, status, pid)
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      log({ kind: 'warning', text: error.message })
    }
  }
}

function runHook(
  plan: HookedPlan,
  name: HookName,
  { path, argv, environment, timeoutSeconds }: Hook,
  status: Status,
  pid: number | undefined,
  prepare?: () => void,
): void {
  const { version, bundle, annotations } = plan.hooks as HooksPlan
  const state = {
    ociVersion: version,
    id: plan.machine,
    status,
    ...(pid === undefined ? {} : { pid }),
    bundle,
    annotations,
  }
  runProgram({
    step: `the ${name} hook of the bundle has failed`,
    name: path,
    paths: [path],
    argv,
    environment,
    input: JSON.stringify(state),
    timeoutMs: timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000,
    ...(prepare === undefined ? {} : { prepare }),
  })
}
