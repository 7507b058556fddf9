/** /sys/fs/cgroup of the container, mounted by the inner child within its cgroup namespace. */
import { mkdirSync, symlinkSync } from 'node:fs'
import type { CgroupHierarchy, ContainerPlan } from '../plan/plan.ts'
import { close, open, O_PATH } from '../sys/fd.ts'
import {
  mount,
  setMountAttributes,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_STRICTATIME,
} from '../sys/mount.ts'

const ROOT = '/sys/fs/cgroup'
const sealed = MS_NOSUID | MS_NOEXEC | MS_NODEV

export function mountCgroups(hierarchies: readonly CgroupHierarchy[], plan: ContainerPlan): void {
  const [first] = hierarchies
  if (first === undefined) return
  if (plan.namespaces.includes('net')) mkdirSync(ROOT, { recursive: true })
  if (first.name === '') {
    mount({ source: 'cgroup2', target: ROOT, fstype: 'cgroup2', flags: sealed })
    return
  }
  mount({
    source: 'tmpfs',
    target: ROOT,
    fstype: 'tmpfs',
    flags: sealed | MS_STRICTATIME,
    options: 'mode=0755,size=4m,nr_inodes=1k',
  })
  const writable = plan.users !== undefined
  for (const hierarchy of hierarchies) mountHierarchy(hierarchy, writable)
  if (writable) return
  const fd = open(ROOT, O_PATH)
  setMountAttributes(fd, { readOnly: true, noSuid: true, noExec: true, noDev: true }, 'one', ROOT)
  close(fd)
}

function mountHierarchy(hierarchy: CgroupHierarchy, userNamespace: boolean): void {
  const { name, fstype, options, controllers } = hierarchy
  const target = `${ROOT}/${name}`
  mkdirSync(target, { mode: 0o755 })
  // Only the hierarchies that systemd manages itself are the container's to change; the others when it owns them.
  const own = userNamespace || fstype === 'cgroup2' || name === 'systemd'
  mount({ source: 'cgroup', target, fstype, flags: sealed | (own ? 0 : MS_RDONLY), options })
  for (const controller of controllers) {
    if (controller !== name) symlinkSync(name, `${ROOT}/${controller}`)
  }
}
