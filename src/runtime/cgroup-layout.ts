/** Which control group hierarchies a container sees, by host and by what its systemd can handle. */
import { readdirSync } from 'node:fs'
import type { CgroupHierarchy, CgroupPlan } from '../plan/plan.ts'
import { close, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { descriptorPath, openInRootIfPresent } from '../sys/openat2.ts'

const HYBRID_SINCE = 233
/** From here on systemd refuses to run on anything but the unified hierarchy. */
const ONLY_UNIFIED_SINCE = 258
const libraryDirectories = [
  '/lib/systemd',
  '/lib64/systemd',
  '/usr/lib/systemd',
  '/usr/lib64/systemd',
  `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/systemd`,
]

/**
 * @param root descriptor of the tree
 * @returns the hierarchies to mount below /sys/fs/cgroup; one of type cgroup2 named '' for a unified layout
 */
export function containerHierarchies(plan: CgroupPlan, root: number): readonly CgroupHierarchy[] {
  if (plan.host === 'none') return []
  const version = plan.container === 'by-tree' ? (systemdVersion(root) ?? 0) : 0
  if (
    plan.host === 'unified' ||
    plan.container === 'unified' ||
    (plan.host === 'hybrid' && version >= ONLY_UNIFIED_SINCE)
  ) {
    return [{ name: '', fstype: 'cgroup2', options: undefined, controllers: [] }]
  }
  const hybrid = plan.host === 'hybrid' && (plan.container === 'as-host' || version >= HYBRID_SINCE)
  return hybrid ? plan.hierarchies : plan.hierarchies.filter(({ fstype }) => fstype === 'cgroup')
}

/** The systemd version in a tree, told by the name of its shared library; undefined without one. */
function systemdVersion(root: number): number | undefined {
  for (const directory of libraryDirectories) {
    const fd = openInRootIfPresent(root, directory, O_PATH | O_DIRECTORY)
    if (fd === undefined) continue
    const versions = readdirSync(descriptorPath(fd)).flatMap((name) => {
      const match = /^libsystemd-shared-(\d+)/.exec(name)
      return match === null ? [] : [Number(match[1])]
    })
    close(fd)
    if (versions.length > 0) return Math.max(...versions)
  }
  return undefined
}
