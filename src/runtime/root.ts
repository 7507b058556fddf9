/**
 * The root of a container as a mount of its own, at a fixed place in the outer child's private mount namespace.
 *
 * Owners on disk count from 0. With a user namespace they are shifted by id-mapped mounts, of the tree, or of each
 * layer and the upper of an overlay (overlayfs itself cannot be id-mapped); where the kernel or the file system
 * cannot, `auto` changes the owners on disk instead.
 */
import { chmodSync, chownSync, closeSync, fstatSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { patchOwnership } from '../images/patch-uid.ts'
import { treeOfRoot, type RootPlan, type UsersPlan } from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { errnoName } from '../sys/errno.ts'
import { lastErrno } from '../sys/libc.ts'
import {
  attachMount,
  cloneMount,
  mount,
  setMountAttributes,
  setPropagation,
  trySetMountAttributes,
  MS_PRIVATE,
  MS_REC,
  MS_SLAVE,
  MS_STRICTATIME,
} from '../sys/mount.ts'
import { openIdMapNamespace } from '../sys/namespaces.ts'
import { descriptorPath, openInRoot, splitPath } from '../sys/openat2.ts'
import { idMapLines, isForeign, FOREIGN_BASE } from './id-map.ts'
import { mountOverlayAt } from './overlay.ts'

const VOLATILE_OPTIONS = 'mode=0755,size=25%,nr_inodes=1m'

/** What the parts of a root that are kept in memory are given. */
interface Tmpfs {
  readonly owner: number
  /** SELinux label. */
  readonly label: string | undefined
}

/** What was done with the owners of a tree, for what else is mounted into it. */
export type TreeOwners =
  | { readonly kind: 'as they are'; readonly base: number }
  /** By a user namespace, which is open until it is closed. */
  | { readonly kind: 'mapped'; readonly base: number; readonly namespace: number }
  | { readonly kind: 'changed'; readonly base: number; readonly range: UsersPlan }

export interface MountedRoot {
  /** O_PATH descriptor. */
  readonly root: number
  readonly owners: TreeOwners
}

/** Mounts the root at `place`, an existing directory. Call it in a fresh mount namespace. */
export function mountRoot(
  plan: RootPlan,
  users: UsersPlan | undefined,
  place: string,
  selinuxLabel: string | undefined,
): MountedRoot {
  setPropagation('/', MS_SLAVE | MS_REC)
  const tmpfs = { owner: users?.base ?? 0, label: selinuxLabel }
  const mapping = users === undefined || users.ownership === 'off' ? undefined : users
  const namespace =
    mapping === undefined || mapping.ownership === 'chown'
      ? undefined
      : mountMapped(plan, mapping, tmpfs, place)
  if (namespace === undefined) mountPlain(plan, tmpfs, place)
  setPropagation(place, MS_PRIVATE | MS_REC)
  if (mapping !== undefined && namespace === undefined) patchOwnership(place, mapping)
  const root = open(place, O_PATH | O_DIRECTORY)
  const base = users?.base ?? 0
  if (mapping === undefined) return { root, owners: { kind: 'as they are', base } }
  if (namespace === undefined) return { root, owners: { kind: 'changed', base, range: mapping } }
  return { root, owners: { kind: 'mapped', base, namespace } }
}

/** Lets go of what is needed only as long as something is mounted. */
export function closeOwners(owners: TreeOwners): void {
  if (owners.kind === 'mapped') closeSync(owners.namespace)
}

/**
 * @returns the user namespace that it is mapped by; undefined when owners have to be changed on disk, which only
 *   `auto` allows
 */
function mountMapped(
  plan: RootPlan,
  users: UsersPlan,
  tmpfs: Tmpfs,
  place: string,
): number | undefined {
  const tree = treeOfRoot(plan)
  const owner = statSync(tree).uid
  const fromForeign = users.ownership !== 'map' && isForeign(owner)
  if (users.ownership === 'foreign' && !fromForeign) {
    throw new NspawnError('the tree does not belong to the foreign id range', {
      code: 'EINVAL',
      subject: tree,
      hint: `its owners have to be ${FOREIGN_BASE} and above; or use --private-users-ownership=map`,
    })
  }
  if (owner !== 0 && owner - (owner % 65536) === users.base) {
    if (users.ownership === 'auto') return undefined
    throw new NspawnError(
      'the tree already belongs to the id range, so it cannot be mapped into it',
      {
        code: 'EINVAL',
        subject: tree,
        hint: 'use --private-users-ownership=auto or chown',
      },
    )
  }
  const namespace = openIdMapNamespace(idMapLines(users, fromForeign ? FOREIGN_BASE : 0))
  try {
    mountWith(plan, tmpfs, place, (path) => cloneMapped(path, namespace))
    return namespace
  } catch (error) {
    closeSync(namespace)
    const unsupported = error instanceof NspawnError && error.operation === 'mount_setattr'
    if (unsupported && users.ownership === 'auto') return undefined
    throw error
  }
}

function mountPlain(plan: RootPlan, tmpfs: Tmpfs, place: string): void {
  mountWith(plan, tmpfs, place, (path) => cloneMount(path, 'recursive'))
}

/** A detached copy of the tree's mount, id-mapped with what is mounted below it as far as that can be. */
function cloneMapped(path: string, namespace: number): number {
  const fd = cloneMount(path, 'recursive')
  if (trySetMountAttributes(fd, { idMap: namespace }, 'recursive')) return fd
  // Something mounted below may be unable (proc, vfat): then only the tree itself is mapped.
  if (trySetMountAttributes(fd, { idMap: namespace }, 'one')) return fd
  const code = errnoName(lastErrno())
  close(fd)
  throw new NspawnError('cannot map the owners of the tree', {
    code,
    operation: 'mount_setattr',
    subject: path,
    hint: 'the kernel or this file system cannot; --private-users-ownership=chown changes the owners on disk',
  })
}

type Clone = (path: string) => number

function mountWith(plan: RootPlan, tmpfs: Tmpfs, place: string, clone: Clone): void {
  switch (plan.kind) {
    case 'directory': {
      const fd = clone(plan.hostPath)
      attachMount(fd, place)
      close(fd)
      return
    }
    case 'overlay':
      return mountOverlayRoot(plan, tmpfs, place, clone)
    case 'usr-only':
      return mountUsrOnly(plan, tmpfs, place, clone)
  }
}

function tmpfsOptions({ owner, label }: Tmpfs): string {
  return [
    VOLATILE_OPTIONS,
    ...(owner === 0 ? [] : [`uid=${owner},gid=${owner}`]),
    ...(label === undefined ? [] : [`context="${label}"`]),
  ].join(',')
}

function mountTmpfs(place: string, tmpfs: Tmpfs): void {
  mount({
    source: 'tmpfs',
    target: place,
    fstype: 'tmpfs',
    flags: MS_STRICTATIME,
    options: tmpfsOptions(tmpfs),
  })
}

/**
 * Layers become an overlay. All copies are made before any is attached, since one layer may lie in the directory
 * of another; they are attached at their own paths because older kernels take no detached layer.
 */
function mountOverlayRoot(
  plan: Extract<RootPlan, { kind: 'overlay' }>,
  tmpfs: Tmpfs,
  place: string,
  clone: Clone,
): void {
  const layers = plan.layers.map((path) => ({ path, fd: clone(path) }))
  const opened = layers.map((layer) => layer.fd)
  try {
    let upper: string
    let work: string
    if (plan.upper === 'tmpfs') {
      for (const layer of layers) attachMount(layer.fd, layer.path)
      mountTmpfs(place, tmpfs)
      const memory = open(place, O_PATH | O_DIRECTORY)
      opened.push(memory)
      upper = descriptorPath(memory, 'upper')
      work = descriptorPath(memory, 'work')
      mkdirSync(upper)
      mkdirSync(work)
      copyTop(fstatSync(layers.at(-1)?.fd as number), upper)
    } else {
      const { parent, name } = splitPath(plan.upper.hostPath)
      const above = clone(parent)
      opened.push(above)
      for (const layer of layers) attachMount(layer.fd, layer.path)
      attachMount(above, parent)
      upper = descriptorPath(above, name)
      work = descriptorPath(above, plan.upper.workPath.slice(parent.length + 1))
    }
    const lowers = layers.toReversed().map((layer) => descriptorPath(layer.fd))
    mountOverlayAt(place, [
      `lowerdir=${lowers.join(':')}`,
      `upperdir=${upper}`,
      `workdir=${work}`,
      // Renaming a directory of a lower layer works as on a plain tree.
      'redirect_dir=on',
      'index=off',
      'metacopy=off',
      ...(plan.sync === 'skip' ? ['volatile'] : []),
    ])
  } finally {
    for (const fd of opened) close(fd)
  }
}

/** The top directory of an overlay is its upper's: give that the owner and mode of the tree's. */
function copyTop(tree: { uid: number; gid: number; mode: number }, upper: string): void {
  chownSync(upper, tree.uid, tree.gid)
  chmodSync(upper, tree.mode & 0o7777)
}

function mountUsrOnly(
  { hostPath: tree, usr: access }: Extract<RootPlan, { kind: 'usr-only' }>,
  tmpfs: Tmpfs,
  place: string,
  clone: Clone,
): void {
  if (lstatSync(join(tree, 'bin'), { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new NspawnError('--volatile=yes needs a tree with merged /usr: its /bin is a directory', {
      code: 'EISDIR',
      subject: tree,
      hint: 'use --volatile=overlay or --volatile=state',
    })
  }
  const root = open(tree, O_PATH | O_DIRECTORY)
  const usr = openInRoot(root, '/usr', O_PATH | O_DIRECTORY)
  const mounted = clone(descriptorPath(usr))
  if (access === 'read-only') setMountAttributes(mounted, { readOnly: true }, 'recursive', '/usr')
  mountTmpfs(place, tmpfs)
  const target = join(place, 'usr')
  mkdirSync(target, { mode: 0o755 })
  chownSync(target, tmpfs.owner, tmpfs.owner)
  attachMount(mounted, target)
  for (const fd of [root, usr, mounted]) close(fd)
}
