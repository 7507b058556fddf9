/**
 * One container from settings to its end: prepares what has to be undone, supervises, and releases everything
 * whatever happens.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { runtimeDirectory } from '../paths.ts'
import type { PlanResult } from '../plan/make-plan.ts'
import { sourceOf, type ContainerPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import { judge, type Verdict } from './exit-status.ts'
import { madeHostChanges } from './made-host-changes.ts'
import { namedHostChanges } from './named-host-changes.ts'
import { admitLayerAgain } from './overlay.ts'
import { prepareContainer, type ContainerContext } from './prepare.ts'
import { registerMachine } from './registration.ts'
import { gatherSecrets } from './secrets.ts'
import { serviceManager, Watchdog } from './service-manager.ts'
import { SignalInbox } from './signals.ts'
import { startHooks, type StartContext } from './start-hooks.ts'
import {
  superviseContainer,
  SUPERVISOR_SIGNALS,
  type ContainerEnd,
  type SupervisorOptions,
} from './supervisor.ts'

export type { ContainerContext } from './prepare.ts'

/** How a container ended at last, with what was planned for it. */
export interface FinishedContainer {
  readonly end: ContainerEnd
  readonly plan: ContainerPlan
  readonly verdict: Verdict
}

/**
 * Plans and runs one container, again and again while it reboots, unless a service manager does that
 * (`keepUnit`). Its throw-away copy and temporary directories stay the same; volatile ones are fresh.
 *
 * @throws NspawnError when it could not be started
 */
export async function runContainerHere(
  settings: Settings,
  context: ContainerContext,
): Promise<FinishedContainer> {
  requireRoot()
  const secrets = await gatherSecrets(settings)
  // Released last: whoever finds the name free finds the tree free, too.
  await using name = new CleanupStack()
  await using cleanup = new CleanupStack()
  const changes = madeHostChanges(context.log, cleanup)
  const { plan, warnings } = await prepareContainer(settings, context, changes)
  for (const text of warnings) context.log({ kind: 'warning', text })
  const registration = registerMachine(plan, context.log, name)
  const signals = new SignalInbox(SUPERVISOR_SIGNALS)
  cleanup.defer('signal handlers', () => signals.close())
  announce(plan, settings, context.log)
  const rootPlace = join(runtimeDirectory(), 'root')
  mkdirSync(rootPlace, { recursive: true, mode: 0o755 })
  const manager = serviceManager(context.environment['NOTIFY_SOCKET'])
  const supervision = {
    log: context.log,
    watchdog: new Watchdog(manager, context.environment),
    rootPlace,
    secrets,
  }
  for (;;) {
    const end = await runOnce(plan, supervision, signals, {
      registration,
      manager,
      log: context.log,
    })
    const verdict = judge(end, plan.machine, settings.keepUnit)
    if (!verdict.reboot || settings.keepUnit) {
      manager('STOPPING=1', `STATUS=${verdict.reboot ? 'Restarting' : 'Terminating'}...`)
      return { end, plan, verdict }
    }
    context.log({ kind: 'notice', text: verdict.text })
    admitLayerAgain(plan.root)
  }
}

/** One start of the container, to its end; its control groups are made and removed each time. */
async function runOnce(
  plan: ContainerPlan,
  supervision: Omit<SupervisorOptions, keyof ReturnType<typeof startHooks>>,
  signals: SignalInbox,
  told: Omit<StartContext, 'cleanup'>,
): Promise<ContainerEnd> {
  await using cleanup = new CleanupStack()
  const hooks = startHooks(plan, { ...told, cleanup })
  return await superviseContainer(plan, { ...supervision, ...hooks }, signals)
}

/**
 * The plan of a container, for people to read: nothing is started and nothing on the host changes, so whoever can
 * read the tree can have it.
 */
export async function describeContainer(
  settings: Settings,
  context: ContainerContext,
): Promise<PlanResult> {
  try {
    return await prepareContainer(settings, context, namedHostChanges())
  } catch (error) {
    const { code, syscall, path } = error as NodeJS.ErrnoException
    if (error instanceof NspawnError || code !== 'EACCES') throw error
    throw new NspawnError('what the plan depends on cannot be read', {
      code,
      operation: syscall,
      subject: path,
      hint: 'run it as root, as the container itself',
    })
  }
}

/** @throws NspawnError `NOT_ROOT` */
export function requireRoot(): void {
  if (process.getuid?.() === 0) return
  throw new NspawnError('need to be root', { code: 'NOT_ROOT', hint: 'run it with sudo' })
}

export function announce(plan: ContainerPlan, settings: Settings, log: LogSink): void {
  if (settings.quiet) return
  log({ kind: 'notice', text: `Spawning container ${plan.machine} on ${sourceOf(plan)}.` })
  if (plan.console === 'interactive') {
    log({ kind: 'notice', text: 'Press ^] three times within 1s to kill container.' })
  }
}
