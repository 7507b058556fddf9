/** Resource limits of the payload: the defaults a freshly booted system has, then the user's own. */
import type { ResourceLimit } from '../settings/settings.ts'
import { resourceLimitNames } from '../settings/values/resource-limit.ts'
import type { HostFacts } from './host-facts.ts'
import type { PlannedLimit } from './plan.ts'

const MEMLOCK_BYTES = 8 * 1024 * 1024
const NOFILE_HARD_LIMIT = 524288

function defaults(facts: HostFacts): Record<string, ResourceLimit> {
  const unlimited = { soft: null, hard: null }
  const fixed = (value: number | null) => ({ soft: value, hard: value })
  return {
    CPU: unlimited,
    FSIZE: unlimited,
    DATA: unlimited,
    STACK: { soft: 8388608, hard: null },
    CORE: { soft: 0, hard: null },
    RSS: unlimited,
    NPROC: fixed(facts.initLimits.processes),
    NOFILE: { soft: 1024, hard: Math.min(facts.maxOpenFiles, NOFILE_HARD_LIMIT) },
    MEMLOCK: fixed(MEMLOCK_BYTES),
    AS: unlimited,
    LOCKS: unlimited,
    SIGPENDING: fixed(facts.initLimits.pendingSignals),
    MSGQUEUE: fixed(819200),
    NICE: fixed(0),
    RTPRIO: fixed(0),
    RTTIME: unlimited,
  }
}

export function planLimits(
  asked: Readonly<Record<string, ResourceLimit>>,
  facts: HostFacts,
): PlannedLimit[] {
  return Object.entries({ ...defaults(facts), ...asked }).map(([name, limit]) => ({
    name,
    resource: resourceLimitNames.indexOf(name),
    soft: limit.soft,
    hard: limit.hard,
  }))
}
