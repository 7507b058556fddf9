/** What happens around a supervised container as it comes up: its control group, its registration, and who is told. */
import type { CleanupStack } from '../cleanup.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import { placeLeader } from './cgroup.ts'
import type { Registration } from './registration.ts'
import type { ServiceManager } from './service-manager.ts'
import type { SupervisorOptions } from './supervisor.ts'

/**
 * @param manager told everything; that the payload is ready is for the registration, too
 * @param cleanup of this one start: takes the control groups away
 */
export function startHooks(
  plan: ContainerPlan,
  registration: Registration | undefined,
  manager: ServiceManager,
  cleanup: CleanupStack,
): Pick<SupervisorOptions, 'serviceManager' | 'onLeader' | 'onStarted'> {
  return {
    serviceManager: (...fields) => {
      manager(...fields)
      if (fields.includes('READY=1')) registration?.ready()
    },
    onLeader: (pid) => placeLeader(plan, pid, registration?.adopt(pid) ?? 'own', cleanup),
    onStarted: () => registration?.started(),
  }
}
