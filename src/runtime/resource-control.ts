/**
 * Limits that the processes of a container share: memory, tasks, processor time, devices. They are set on a control group
 * above the container's own, where no one inside can lift them, and which tells at the end whether they were hit.
 *
 * @see cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of the kernel
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { ownOwner } from '../owner.ts'
import type { CgroupHierarchy, ContainerPlan } from '../plan/plan.ts'
import { readIfThere } from '../read-if-there.ts'
import type { ResourceControl } from '../settings/settings.ts'
import { legacyFiles, limitedControllers, unifiedFiles, type GroupFile } from './limit-files.ts'
import { removeGroup, removeStaleBelow } from './cgroup-tree.ts'

/** A limit at which the kernel ended a process, or refused to make one. */
export type LimitHit = 'memory' | 'tasks'

/**
 * Puts the leader below its limits, where the hierarchies of the controllers are apart (version 1). In a unified
 * hierarchy `limitGroup()` and systemd do it.
 *
 * @returns the groups that tell of hits
 * @throws NspawnError `NOT_SUPPORTED` when the host does not let us
 */
export function limitLeader(
  plan: Pick<ContainerPlan, 'cgroup' | 'machine'>,
  leader: number,
  cleanup: CleanupStack,
): readonly string[] {
  const { limits, host } = plan.cgroup
  if (limits === undefined || host === 'unified') return []
  const files = legacyFiles(limits)
  const watched: string[] = []
  for (const { name, controllers } of plan.cgroup.hierarchies) {
    const here = files.filter(({ controller }) => controllers.includes(controller))
    if (here.length === 0) continue
    const parent = ownGroup(name)
    const group = join(parent, `tsnspawn-${plan.machine}.${ownOwner()}.scope`)
    const payload = join(group, 'payload')
    try {
      removeStaleBelow(parent)
      mkdirSync(group)
      cleanup.defer(`control group ${group}`, () => removeGroup(group))
      writeFiles(group, here)
      mkdirSync(payload)
      writeFileSync(join(payload, 'cgroup.procs'), String(leader))
    } catch (error) {
      throw notSupported(here[0]!.controller, group, error)
    }
    watched.push(group, payload)
  }
  const [missing] = files.filter(
    ({ controller, optional }) =>
      optional !== true &&
      !plan.cgroup.hierarchies.some((one) => one.controllers.includes(controller)),
  )
  if (missing !== undefined) throw notSupported(missing.controller, '/sys/fs/cgroup')
  return watched
}

/**
 * Sets the limits on a group of the unified hierarchy that is ours.
 *
 * @throws NspawnError `NOT_SUPPORTED` when the group above does not hand its controllers down
 */
export function limitGroup(group: string, limits: ResourceControl): void {
  const files = unifiedFiles(limits)
  const controllers = [...new Set(files.map(({ controller }) => controller))]
  const above = join(group, '..', 'cgroup.subtree_control')
  try {
    if (controllers.length > 0)
      writeFileSync(above, controllers.map((name) => `+${name}`).join(' '))
    writeFiles(group, files)
  } catch (error) {
    throw notSupported(controllers.join(', '), group, error)
  }
}

/** Removes what dead runs have left of groups with limits. */
export function removeStaleLimits(hierarchies: readonly CgroupHierarchy[]): void {
  for (const { name, controllers } of hierarchies) {
    if (controllers.some((one) => limitedControllers.some((controller) => controller === one)))
      removeStaleBelow(ownGroup(name))
  }
}

/** Which limits were hit in groups of version 1. */
export function limitHits(groups: readonly string[]): readonly LimitHit[] {
  const told = (name: string, line: RegExp) =>
    groups.some((group) => Number(line.exec(readIfThere(join(group, name)))?.[1] ?? 0) > 0)
  const memory = told('memory.oom_control', /^oom_kill (\d+)$/m)
  const tasks = told('pids.events', /^max (\d+)$/m)
  return [...(memory ? (['memory'] as const) : []), ...(tasks ? (['tasks'] as const) : [])]
}

function writeFiles(group: string, files: readonly GroupFile[]): void {
  for (const { name, value, optional } of files) {
    if (optional === true && !existsSync(join(group, name))) continue
    writeFileSync(join(group, name), value)
  }
}

/** The caller's group in a hierarchy of version 1; its lines are `ID:CONTROLLERS:PATH`. */
function ownGroup(hierarchy: string): string {
  const line = readFileSync('/proc/self/cgroup', 'latin1')
    .split('\n')
    .find((one) => one.split(':')[1] === hierarchy)
  return join('/sys/fs/cgroup', hierarchy, line?.split(':').slice(2).join(':') ?? '/')
}

function notSupported(what: string, group: string, cause?: unknown): NspawnError {
  return new NspawnError(`this host does not let us limit ${what}`, {
    code: 'NOT_SUPPORTED',
    operation: 'set limits of the control group',
    subject: group,
    hint: 'run as a service of systemd with Delegate=yes, or leave the limit out',
    cause,
  })
}
