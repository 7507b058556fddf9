/** What a process of the container may do, compared with the one that made it. */
import type { ContainerPlan } from '../plan/plan.ts'
import {
  keepCapabilitiesOverUserChange,
  limitBoundingSet,
  setCapabilities,
  setIds,
} from '../sys/credentials.ts'
import { loadSeccompProgram } from '../sys/seccomp.ts'

export interface ProcessIds {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

/** Installs the plan's filters, and leaves the calling process the plan's capabilities as this user. */
export function dropPrivileges(plan: ContainerPlan, user: ProcessIds): void {
  const set = (hex: string) => BigInt(`0x${hex}`)
  const { bounding, permitted, effective, inheritable, ambient } = plan.capabilities
  for (const program of plan.seccomp) loadSeccompProgram(program)
  limitBoundingSet(set(bounding))
  keepCapabilitiesOverUserChange()
  setIds(user.uid, user.gid, user.groups)
  setCapabilities({
    bounding: set(bounding),
    permitted: set(permitted),
    effective: set(effective),
    inheritable: set(inheritable),
    ambient: set(ambient),
  })
}
