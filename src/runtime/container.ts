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
import type { ContainerPlan, RootPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import { placeLeader } from './cgroup.ts'
import { madeHostChanges } from './made-host-changes.ts'
import { namedHostChanges } from './named-host-changes.ts'
import { prepareContainer, type ContainerContext } from './prepare.ts'
import { registerMachine } from './registration.ts'
import { gatherSecrets } from './secrets.ts'
import { serviceManager } from './service-manager.ts'
import { superviseContainer, type ContainerEnd } from './supervisor.ts'

export type { ContainerContext } from './prepare.ts'

/** How a container ended, with what was planned for it. */
export interface FinishedContainer {
  readonly end: ContainerEnd
  readonly plan: ContainerPlan
}

/** Plans and runs one container. @throws NspawnError when it could not be started */
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
  announce(plan, settings, context.log)
  const rootPlace = join(runtimeDirectory(), 'root')
  mkdirSync(rootPlace, { recursive: true, mode: 0o755 })
  const manager = serviceManager(context.environment['NOTIFY_SOCKET'])
  const end = await superviseContainer(plan, {
    log: context.log,
    serviceManager: (...fields) => {
      manager(...fields)
      if (fields.includes('READY=1')) registration?.ready()
    },
    rootPlace,
    secrets,
    onLeader: (pid) => placeLeader(plan, pid, registration?.adopt(pid) ?? 'own', cleanup),
    onStarted: () => registration?.started(),
  })
  manager('STOPPING=1', 'STATUS=Terminating...')
  return { end, plan }
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
  log({ kind: 'notice', text: `Spawning container ${plan.machine} on ${describeRoot(plan.root)}.` })
  if (plan.console === 'interactive') {
    log({ kind: 'notice', text: 'Press ^] three times within 1s to kill container.' })
  }
}

function describeRoot(root: RootPlan): string {
  return root.kind === 'overlay' ? (root.layers[0] as string) : root.hostPath
}
