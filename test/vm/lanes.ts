/**
 * What runs in the machine, in two lanes beside each other: one for everything with disks, which counts the loop devices of
 * the machine, and one for the rest.
 */
import { booting } from './cases/booting.ts'
import { ipvlan } from './cases/ipvlan.ts'
import { limits } from './cases/limits.ts'
import { luks } from './cases/luks.ts'
import { machined } from './cases/machined.ts'
import { networkd } from './cases/networkd.ts'
import { partitions } from './cases/partitions.ts'
import { units } from './cases/units.ts'
import { verity } from './cases/verity.ts'
import type { CaseGroup } from './guest/group.ts'

export const lanes = {
  disks: [verity, luks, partitions],
  system: [ipvlan, machined, units, limits, networkd, booting],
} satisfies Record<string, readonly CaseGroup[]>

export type LaneName = keyof typeof lanes
