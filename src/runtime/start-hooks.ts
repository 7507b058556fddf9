/** What happens around a supervised container as it comes up: its control group, its registration, and who is told. */
import type { CleanupStack } from '../cleanup.ts'
import type { LogSink } from '../log.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import { placeLeader } from './cgroup.ts'
import { runCreationHooks, runStartedHooks, runStoppedHooks } from './hooks.ts'
import { NetworkConnection } from './network/connect.ts'
import { removeStaleNetworks } from './network/stale.ts'
import type { Registration } from './registration.ts'
import { recordOpenedFiles } from './opened-files.ts'
import { ScopeController } from './scope-controller.ts'
import { LimitWatch } from './limit-watch.ts'
import { limitHits, limitLeader } from './resource-control.ts'
import type { ServiceManager } from './service-manager.ts'
import type { SupervisorOptions } from './supervisor.ts'

export interface StartContext {
  readonly registration: Registration | undefined
  /** Told everything; that the payload is ready is for the registration, too. */
  readonly manager: ServiceManager
  readonly log: LogSink
  /** Of this one start. */
  readonly cleanup: CleanupStack
}

export function startHooks(
  plan: ContainerPlan,
  { registration, manager, log, cleanup }: StartContext,
): Pick<
  SupervisorOptions,
  | 'serviceManager'
  | 'onLeader'
  | 'onNetwork'
  | 'onCreated'
  | 'onStarted'
  | 'alsoWatched'
  | 'limitHits'
> {
  removeStaleNetworks()
  // Deferred first: nothing is left of the container by then.
  cleanup.defer('hooks of the bundle', () => runStoppedHooks(plan, log))
  const bus = new ScopeController(log)
  cleanup.defer('connection to the bus', () => bus.close())
  // Without a signal that asks it to end, systemd's own SIGTERM is as good as any.
  const controller = () => (plan.killSignal === undefined ? undefined : bus.connect())
  const opened =
    plan.openedFiles === undefined ? undefined : recordOpenedFiles(plan.openedFiles, cleanup)
  const network = plan.network === undefined ? undefined : new NetworkConnection(plan, cleanup, log)
  /** Of version 1, which nobody takes away but us. */
  let limited: readonly string[] = []
  const limits = new LimitWatch()
  return {
    serviceManager: (...fields) => {
      manager(...fields)
      if (fields.includes('READY=1')) registration?.ready()
    },
    onLeader: (pid) => {
      const scope = registration?.adopt(pid, controller) ?? 'own'
      limits.begin(placeLeader(plan, pid, scope, { cleanup, controller }), cleanup)
      limited = limitLeader(plan, pid, cleanup)
      opened?.begin(pid)
    },
    onNetwork: (pid, monitor) => network?.connect(pid, monitor),
    limitHits: () => [...limits.hits(), ...limitHits(limited)],
    onCreated: (pid) => runCreationHooks(plan, pid),
    onStarted: (pid) => {
      registration?.started()
      runStartedHooks(plan, pid, log)
    },
    alsoWatched: [
      ...(opened === undefined ? [] : [opened.watched]),
      ...(network === undefined ? [] : [network.watched]),
      ...limits.watched,
      {
        get fd() {
          return bus.fd
        },
        onEvents: (supervisor) => {
          if (bus.isAsked()) supervisor.onSignal('SIGTERM')
        },
      },
    ],
  }
}
