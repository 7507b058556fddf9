/**
 * A control group of its own for each container, below the caller's: so that it can be delegated, and what is left
 * of a killed run be found. With `--keep-unit` the container stays where the caller is, unless it boots.
 *
 * Groups are named after the machine and the owner (pid and start time); those of dead owners are removed by the
 * next run.
 */
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { ownOwner } from '../owner.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import { readIfThere } from '../read-if-there.ts'
import { removeGroup, removeStaleBelow } from './cgroup-tree.ts'
import { limitGroup } from './resource-control.ts'
import { makeScope } from './scope.ts'

const delegated = [
  'cgroup.clone_children',
  'cgroup.controllers',
  'cgroup.events',
  'cgroup.procs',
  'cgroup.stat',
  'cgroup.subtree_control',
  'cgroup.threads',
  'memory.oom.group',
  'memory.reclaim',
  'notify_on_release',
  'tasks',
]

const SUPERVISOR = 'supervisor'

/** Where processes are tracked: the unified hierarchy, and systemd's named one beside it on older layouts. */
function trackingHierarchies(
  layout: ContainerPlan['cgroup']['host'],
): { root: string; line: RegExp }[] {
  const unified = { root: '/sys/fs/cgroup', line: /^0::(.*)$/m }
  const named = { root: '/sys/fs/cgroup/systemd', line: /^\d+:name=systemd:(.*)$/m }
  switch (layout) {
    case 'none':
      return []
    case 'unified':
      return [unified]
    case 'hybrid':
      return [named, { ...unified, root: '/sys/fs/cgroup/unified' }]
    case 'legacy':
      return [named]
  }
}

/** Who looks after what the leader is placed in. */
export interface LeaderCare {
  /** Takes the groups away that nobody else does. */
  readonly cleanup: CleanupStack
  /** Tells the name on the bus of whom systemd is to ask when it stops the scope. */
  readonly controller: () => string | undefined
}

/**
 * Moves the leader into a fresh group of each tracking hierarchy, delegated to the container's root. In a unified
 * hierarchy these have the container's limits, too.
 *
 * @param scope `own` makes one below the caller's; `given`: a service manager has put the leader into one, which it
 *   takes away itself
 * @returns the groups that tell of hits: before Linux 6.11 a task that may not be is counted where it was to be
 */
export function placeLeader(
  plan: ContainerPlan,
  leader: number,
  scope: 'own' | 'given',
  { cleanup, controller }: LeaderCare,
): readonly string[] {
  if (plan.cgroup.group === 'caller') return []
  if (scope === 'own' && plan.registration.scope === 'required')
    makeScope(plan, leader, controller())
  else if (scope === 'own') return placeBelowCaller(plan, leader, cleanup)
  return placeInScope(plan, leader)
}

function placeBelowCaller(
  plan: ContainerPlan,
  leader: number,
  cleanup: CleanupStack,
): readonly string[] {
  const groups: string[] = []
  const { limits, host } = plan.cgroup
  for (const own of ownGroups(plan.cgroup.host)) {
    const kept = plan.keepUnit && host === 'unified'
    const parent = kept ? makeRoom(own, leader) : own
    removeStaleBelow(parent)
    const group = join(parent, `tsnspawn-${plan.machine}.${ownOwner()}.scope`)
    try {
      mkdirSync(group)
    } catch (error) {
      // A host that did not delegate its tree to us: the container stays in the caller's group.
      const { code } = error as NodeJS.ErrnoException
      const denied = code === 'EROFS' || code === 'EACCES' || code === 'EPERM'
      if (!denied || (limits !== undefined && host === 'unified')) throw error
      continue
    }
    cleanup.defer(`control group ${group}`, () => removeGroup(group))
    if (limits !== undefined && host === 'unified') limitGroup(group, limits)
    groups.push(group, fillGroup(group, plan, leader))
    if (kept) handDown(parent)
    handDown(group)
  }
  return groups
}

/**
 * In a unified hierarchy a group has processes, or controllers to hand down: in a unit that is kept we step aside, into a
 * group of the name that systemd-nspawn takes.
 *
 * @returns the unit's group
 */
function makeRoom(own: string, leader: number): string {
  if (basename(own) === SUPERVISOR) return dirname(own)
  const aside = join(own, SUPERVISOR)
  // The outer child, which is yet to end, or ourselves.
  const parent = /^PPid:\s+(\d+)$/m.exec(readIfThere(`/proc/${leader}/status`))?.[1]
  try {
    mkdirSync(aside, { recursive: true })
    // 0 is the process that writes.
    for (const pid of ['0', ...(parent === undefined ? [] : [parent])])
      writeFileSync(join(aside, 'cgroup.procs'), pid)
  } catch (error) {
    // Not delegated to us, or the outer child has ended: the container has fewer controllers then.
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
  return own
}

/** Removes what dead runs left below the caller's groups. */
export function removeStaleGroups(layout: ContainerPlan['cgroup']['host']): void {
  for (const parent of ownGroups(layout)) removeStaleBelow(parent)
}

/** The caller's group in each tracking hierarchy. */
function ownGroups(layout: ContainerPlan['cgroup']['host']): string[] {
  const own = readFileSync('/proc/self/cgroup', 'latin1')
  return trackingHierarchies(layout).flatMap(({ root, line }) => {
    const path = line.exec(own)?.[1]
    return path === undefined || !existsSync(root) ? [] : [join(root, path)]
  })
}

function placeInScope(plan: ContainerPlan, leader: number): readonly string[] {
  const groups: string[] = []
  const given = readFileSync(`/proc/${leader}/cgroup`, 'latin1')
  for (const { root, line } of trackingHierarchies(plan.cgroup.host)) {
    const path = line.exec(given)?.[1]
    // Beside systemd's own hierarchy, the unified one of an older layout may not be its business.
    if (path === undefined || !path.endsWith('.scope') || !existsSync(join(root, path))) continue
    groups.push(join(root, path), fillGroup(join(root, path), plan, leader))
    handDown(join(root, path))
  }
  return groups
}

/** @returns the container's own group, in this one */
function fillGroup(group: string, plan: ContainerPlan, leader: number): string {
  const payload = join(group, 'payload')
  mkdirSync(payload)
  if (plan.users !== undefined) delegate(payload, plan.users.base)
  writeFileSync(join(payload, 'cgroup.procs'), String(leader))
  return payload
}

/** Lets the container divide what its group has: of the controllers of a unified hierarchy as many as can be. */
function handDown(group: string): void {
  for (const name of readIfThere(join(group, 'cgroup.controllers')).split(/\s+/)) {
    if (name === '') continue
    try {
      writeFileSync(join(group, 'cgroup.subtree_control'), `+${name}`)
    } catch (error) {
      // The kernel has its reasons, such as processes with real-time priorities; the others are of use without it.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error
    }
  }
}

function delegate(group: string, owner: number): void {
  chownSync(group, owner, owner)
  for (const name of delegated) {
    if (existsSync(join(group, name))) chownSync(join(group, name), owner, owner)
  }
}
