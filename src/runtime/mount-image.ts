/**
 * The file systems of a disk image, mounted by the outer child: root and /usr make the tree that the container's root is
 * made of, the others go into that root once owners are known. Synchronous, no event loop.
 *
 * @see systemd-nspawn(1), `--image=`; Discoverable Partitions Specification (UAPI.2)
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { patchOwnership } from '../images/patch-uid.ts'
import type { ImagePlan, PlannedImageMount, RootPlan } from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import {
  attachMount,
  mount,
  mountDetached,
  trySetMountAttributes,
  MS_NODEV,
  type MountAttributes,
} from '../sys/mount.ts'
import { descriptorPath, makeDirectoryInRoot, openInRootIfPresent } from '../sys/openat2.ts'
import type { TreeOwners } from './root.ts'

/** Mounts root and /usr at `place`, an existing directory. Call it in a mount namespace that nobody else sees. */
export function mountImageTree({ mounts }: ImagePlan, place: string): void {
  const root = mounts.find(({ designator }) => designator === 'root')
  const usr = mounts.find(({ designator }) => designator === 'usr')
  if (root === undefined) {
    // Everything that is not /usr is made anew at each start.
    mount({
      source: 'tmpfs',
      target: place,
      fstype: 'tmpfs',
      flags: MS_NODEV,
      options: 'mode=0755',
    })
    mkdirSync(`${place}/usr`, { mode: 0o755 })
  } else attach(root, place)
  if (usr === undefined) return
  const top = open(place, O_PATH | O_DIRECTORY)
  try {
    mountAt(usr, top, '/usr', unmapped)
  } finally {
    close(top)
  }
}

/**
 * Mounts the others below `root`, the container's.
 *
 * @param owners whose ids the container's root has; the same is done with these
 */
export function mountImageRest(
  { mounts }: ImagePlan,
  plan: RootPlan,
  root: number,
  owners: TreeOwners,
): void {
  let bootIsTaken = false
  for (const one of mounts) {
    switch (one.designator) {
      case 'root':
        break
      case 'usr':
        // An overlay sees no mounts below its layers.
        if (plan.kind === 'overlay') mountAt(one, root, '/usr', owners)
        break
      case 'xbootldr':
        bootIsTaken = isFree(root, '/boot', 'missing or empty')
        if (bootIsTaken) mountAt(one, root, '/boot', owners)
        break
      case 'esp':
        if (!bootIsTaken && isFree(root, '/boot', 'empty')) mountAt(one, root, '/boot', owners)
        else if (isFree(root, '/efi', 'missing or empty')) mountAt(one, root, '/efi', owners)
        break
      case 'tmp':
        mountAt(one, root, '/var/tmp', owners)
        break
      case 'home':
      case 'srv':
      case 'var':
        mountAt(one, root, `/${one.designator}`, owners)
    }
  }
}

const unmapped: TreeOwners = { kind: 'as they are', base: 0 }

function mountAt(one: PlannedImageMount, root: number, path: string, owners: TreeOwners): void {
  const target = mountPoint(one, root, path, owners)
  try {
    attach(one, descriptorPath(target), path, owners)
  } finally {
    close(target)
  }
  if (owners.kind !== 'changed' || one.readOnly) return
  const top = openInRootIfPresent(root, path, O_PATH | O_DIRECTORY) as number
  patchOwnership(descriptorPath(top), owners.range)
  close(top)
}

function mountPoint(
  { designator }: PlannedImageMount,
  root: number,
  path: string,
  { base }: TreeOwners,
): number {
  try {
    return makeDirectoryInRoot(root, path, { mode: 0o755, owner: base })
  } catch (error) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new NspawnError(
      `the disk image has a ${designator} partition, and its root no ${path} to mount it at`,
      { code, operation: 'mkdir', subject: path, cause: error },
    )
  }
}

function attach(
  one: PlannedImageMount,
  target: string,
  path = target,
  owners: TreeOwners = unmapped,
): void {
  const { designator, source, fileSystem, readOnly, options } = one
  const fat = fileSystem === 'vfat'
  const boots = designator === 'esp' || designator === 'xbootldr'
  const owner = owners.kind === 'as they are' || !fat ? 0 : owners.base
  const fd = mountDetached({
    ...{ source, readOnly, fstype: fileSystem },
    options: [
      ...options,
      ...(boots && fat ? ['umask=0077'] : []),
      ...(owner === 0 ? [] : [`uid=${owner}`, `gid=${owner}`]),
    ],
    attributes: attributesOf(one, boots),
  })
  try {
    // What FAT has instead of owners was given to it just now.
    if (owners.kind === 'mapped' && !fat) {
      if (!trySetMountAttributes(fd, { idMap: owners.namespace }, 'one')) throw cannotMap(one)
    }
    attachMount(fd, target, path)
  } finally {
    close(fd)
  }
}

function attributesOf(
  { designator, readOnly }: PlannedImageMount,
  boots: boolean,
): Omit<MountAttributes, 'idMap'> {
  return {
    ...{ readOnly, noDev: true },
    noSuid: boots || designator === 'tmp',
    noExec: boots,
    noSymlinkFollow: boots,
  }
}

function cannotMap({ designator, fileSystem }: PlannedImageMount): NspawnError {
  return new NspawnError(`cannot map the owners of the ${designator} partition`, {
    code: 'EINVAL',
    operation: 'mount_setattr',
    subject: fileSystem,
    hint: 'this file system cannot; use --private-users-ownership=chown, or no --private-users=',
  })
}

function isFree(root: number, path: string, when: 'empty' | 'missing or empty'): boolean {
  const directory = openInRootIfPresent(root, path, O_PATH | O_DIRECTORY)
  if (directory === undefined) return when === 'missing or empty'
  try {
    return readdirSync(descriptorPath(directory)).length === 0
  } finally {
    close(directory)
  }
}
