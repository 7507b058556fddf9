/** The tree of a container that lies in a disk image: what `prepareTree()` is for directories. */
import { statSync } from 'node:fs'
import { usageError } from '../errors.ts'
import { ephemeralMachineName, machineNameForRoot } from '../images/names.ts'
import { checkTree, notATree } from '../images/os-release.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'
import type { ImagePlan, RootPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import type { AttachedImage } from './attach-image.ts'
import type { HostChanges } from './host-changes.ts'
import { imagePlace } from './image-place.ts'
import type { LocatedTree } from './locate-tree.ts'

export interface PreparedImage {
  readonly machine: string
  readonly root: RootPlan
  readonly image: ImagePlan
  readonly access: 'read-write' | 'read-only'
  /** A directory whose owner tells the id range of its tree. */
  readonly top: string
}

/** @throws NspawnError as `attachDiskImage()` and `checkTree()` */
export async function prepareImage(
  settings: Settings,
  { path, access: mark }: LocatedTree,
  changes: HostChanges,
): Promise<PreparedImage> {
  const { ephemeral, volatile } = settings
  const access =
    settings.access === 'read-only' || mark === 'read-only' || volatile !== 'no'
      ? 'read-only'
      : 'read-write'
  // Nothing is written to an image below a volatile layer, so it needs no copy; one that is marked may be copied.
  const throwAway = ephemeral && volatile === 'no' && settings.access === 'read-write'
  if (settings.tuning.lockImages)
    changes.lock(path, access === 'read-only' || throwAway ? 'shared' : 'exclusive')
  const attached = await changes.attachImage({
    ...{ path, throwAway, settings: settings.image },
    access: throwAway ? 'read-write' : access,
  })
  const { mounts, root, overlay } = attached
  if (settings.tuning.checkOsTree) checkImageTree(settings, path, attached)
  const named = settings.machine ?? machineNameForRoot(path, 'image')
  return {
    machine:
      ephemeral && settings.machine === undefined
        ? ephemeralMachineName(named, changes.suffix())
        : named,
    root: rootPlan(settings, attached),
    image: { path, mounts },
    access: throwAway ? settings.access : treeAccess(access, attached, overlay !== undefined),
    top: root ?? '/',
  }
}

/** A read-only root partition makes the root read-only, whatever else may be written. */
function treeAccess(
  access: PreparedImage['access'],
  { mounts }: AttachedImage,
  layered: boolean,
): PreparedImage['access'] {
  const root = mounts.find(({ designator }) => designator === 'root')
  return root?.readOnly === true && !layered ? 'read-only' : access
}

function rootPlan(settings: Settings, { mounts, root, overlay }: AttachedImage): RootPlan {
  const place = imagePlace()
  const { volatile, pivotRoot } = settings
  if (volatile === 'yes' || volatile === 'overlay') {
    const newRoot = pivotRoot?.newRoot ?? '/'
    // What it is in the tree, seen from the place that it will be mounted at.
    const below = root === undefined ? newRoot : resolveInRoot(root, newRoot).slice(root.length)
    const hostPath = `${place}${below}`.replace(/\/$/, '')
    if (volatile === 'yes') return { kind: 'usr-only', hostPath, usr: 'read-only' }
    return { kind: 'overlay', layers: [hostPath], upper: 'tmpfs', sync: 'skip' }
  }
  if (!mounts.some(({ designator }) => designator === 'root')) {
    if (pivotRoot !== undefined)
      throw usageError('--pivot-root= needs an image with a root partition')
    return { kind: 'usr-only', hostPath: place, usr: 'as it is' }
  }
  if (overlay === undefined) return { kind: 'directory', hostPath: place }
  const upper = { hostPath: overlay.upper, workPath: overlay.workDirectory }
  return { kind: 'overlay', layers: [place], upper, sync: 'skip' }
}

/** A separate /usr is looked at by itself. */
function checkImageTree(
  { startMode, pivotRoot }: Settings,
  path: string,
  { root, usr }: AttachedImage,
): void {
  const purpose = startMode === 'boot' ? 'boot' : 'command'
  if (usr !== undefined) {
    const needed = purpose === 'boot' ? '/lib/os-release' : '/'
    if (statSync(resolveInRoot(usr, needed, 'allow'), { throwIfNoEntry: false }) !== undefined)
      return
    throw notATree(purpose, path)
  }
  if (root !== undefined) checkTree(resolveInRoot(root, pivotRoot?.newRoot ?? '/'), purpose, path)
}
