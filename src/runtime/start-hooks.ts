/** What happens around a supervised container as it comes up: its control group, its registration, and who is told. */
import type { CleanupStack } from '../cleanup.ts'
import type { LogSink } from '../log.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import { placeLeader } from './cgroup.ts'
import type { Registration } from './registration.ts'
import { ScopeController } from './scope-controller.ts'
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
): Pick<SupervisorOptions, 'serviceManager' | 'onLeader' | 'onStarted' | 'alsoWatched'> {
  const scope = new ScopeController(log)
  cleanup.defer('connection to the bus', () => scope.close())
  // Without a signal that asks it to end, systemd's own SIGTERM is as good as any.
  const controller = () => (plan.killSignal === undefined ? undefined : scope.connect())
  return {
    serviceManager: (...fields) => {
      manager(...fields)
      if (fields.includes('READY=1')) registration?.ready()
    },
    onLeader: (pid) =>
      placeLeader(plan, pid, registration?.adopt(pid, controller) ?? 'own', {
        cleanup,
        controller,
      }),
    onStarted: () => registration?.started(),
    alsoWatched: [
      {
        get fd() {
          return scope.fd
        },
        onEvents: (supervisor) => {
          if (scope.isAsked()) supervisor.onSignal('SIGTERM')
        },
      },
    ],
  }
}
