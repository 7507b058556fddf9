/** The user's own mounts, ordered as systemd-nspawn does: parents before children, then by kind. */
import type { CustomMount, MountSource } from '../settings/settings.ts'
import type { OnFailure, PlannedSource, Step } from './plan.ts'

/** Host directories that stand for empty sources and overlay work, in the order they are asked for. */
export interface TemporaryDirectories {
  /** A fresh empty directory on disk that goes away with the container. */
  next(): string
  /** A name for a work directory beside the upper called `upper`, that nobody else uses. */
  workName(upper: string): string
}

const kindOrder = { bind: 0, tmpfs: 1, 'file-system': 1, overlay: 2, inaccessible: 3 } as const

/** Compares component by component, so that `/a/b` comes after `/a` and before `/a-b`. */
function comparePaths(a: string, b: string): number {
  const left = a.split('/').filter((part) => part !== '')
  const right = b.split('/').filter((part) => part !== '')
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = (left[i] as string) < (right[i] as string) ? -1 : left[i] === right[i] ? 0 : 1
    if (order !== 0) return order
  }
  return left.length - right.length
}

export function sortCustomMounts(mounts: readonly CustomMount[]): CustomMount[] {
  return mounts.toSorted(
    (a, b) => comparePaths(a.destination, b.destination) || kindOrder[a.kind] - kindOrder[b.kind],
  )
}

/** File systems that show the namespaces of whoever mounts them. */
const namespaced: readonly string[] = ['proc', 'sysfs', 'mqueue', 'cgroup', 'cgroup2']

/**
 * Whether the mount has to wait for the inner child, which alone has the container's /proc, and its /sys where the
 * network is private.
 */
export function belongsToInner(mount: CustomMount): boolean {
  const { destination } = mount
  if (destination === '/proc' || destination.startsWith('/proc/')) return true
  if (mount.kind === 'file-system') return namespaced.includes(mount.fstype)
  return 'missing' in mount && mount.missing === 'ignore' && destination.startsWith('/sys/')
}

function plannedSource(source: MountSource, temporary: TemporaryDirectories): PlannedSource {
  switch (source.kind) {
    case 'host':
      return { kind: 'host', hostPath: source.path }
    case 'container':
      return { kind: 'container', path: source.path }
    case 'temporary':
      return { kind: 'host', hostPath: temporary.next() }
  }
}

/**
 * The step for one custom mount.
 *
 * @param base first host id of the container's users: owner of a tmpfs without options of its own
 */
export function customMountStep(
  mount: CustomMount,
  base: number,
  temporary: TemporaryDirectories,
): Step {
  switch (mount.kind) {
    case 'bind':
      return {
        kind: 'bind',
        source: plannedSource(mount.source, temporary),
        target: mount.destination,
        depth: mount.recursive ? 'recursive' : 'one',
        access: mount.access === 'read-only' ? 'read-only' : 'as-is',
        flags: mount.attributes ?? (mount.access === 'read-only' ? ['ro'] : []),
        ...(mount.propagation === undefined ? {} : { propagation: mount.propagation }),
        idMap: mount.idMap,
        create: 'as-source',
        onFailure: onFailure(mount),
      }
    case 'tmpfs': {
      const owner = base === 0 ? '' : `uid=${base},gid=${base}`
      return {
        kind: 'mount',
        fstype: 'tmpfs',
        target: mount.destination,
        flags: ['nodev', 'strictatime'],
        options: [mount.options === '' ? 'mode=0755' : mount.options, owner]
          .filter((part) => part !== '')
          .join(','),
        create: 'directory',
        existing: 'cover',
        onFailure: 'fail',
      }
    }
    case 'file-system':
      return {
        kind: 'mount',
        fstype: mount.fstype,
        source: mount.source,
        target: mount.destination,
        flags: mount.flags,
        options: mount.fstype === 'tmpfs' ? ownedTmpfs(mount.options, base) : mount.options,
        create: 'directory',
        existing: 'cover',
        onFailure: 'fail',
      }
    case 'overlay': {
      const lowers = mount.lowers.map((source) => plannedSource(source, temporary))
      const upper = plannedSource(mount.upper, temporary)
      if (mount.access === 'read-only') {
        return {
          kind: 'overlay',
          lowers: [...lowers, upper],
          upper: undefined,
          target: mount.destination,
        }
      }
      const path = upper.kind === 'host' ? upper.hostPath : upper.path
      const workName = temporary.workName(path.slice(path.lastIndexOf('/') + 1))
      return {
        kind: 'overlay',
        lowers,
        upper: { source: upper, workName },
        target: mount.destination,
      }
    }
    case 'inaccessible':
      return { kind: 'mask', target: mount.destination, onFailure: onFailure(mount) }
  }
}

function onFailure({ missing }: { readonly missing?: 'ignore' | undefined }): OnFailure {
  return missing === 'ignore' ? 'ignore-missing' : 'fail'
}

/** Owners in the options are the container's; without any it is its root. */
function ownedTmpfs(options: string, base: number): string {
  if (base === 0) return options
  const said = options.split(',').filter((option) => option !== '')
  const shifted = said.map((option) =>
    option.replace(
      /^([ug]id)=(\d+)$/,
      (_, name: string, id: string) => `${name}=${base + Number(id)}`,
    ),
  )
  const missing = ['uid', 'gid'].filter((name) => !said.some((one) => one.startsWith(`${name}=`)))
  return [...shifted, ...missing.map((name) => `${name}=${base}`)].join(',')
}
