/**
 * How much space an image takes and may take, told without walking it: files and devices know, and
 * subvolumes where quota is on. Limits are those of btrfs too.
 */
import { existsSync, lstatSync, realpathSync, statfsSync, statSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { blockDeviceSize } from '../sys/block-device.ts'
import {
  createGroup,
  groupFacts,
  groupId,
  groupLevel,
  limitGroup,
  putIntoGroup,
  type GroupFacts,
} from '../sys/btrfs-quota.ts'
import { isSubvolume, subvolumeId } from '../sys/btrfs.ts'
import { listImages, type Image } from './discover.ts'
import { refuseForeign } from './foreign-image.ts'

/** All in bytes; undefined where nobody knows, and for a limit where there is none. */
export interface Space {
  readonly usageBytes: number | undefined
  readonly limitBytes: number | undefined
  readonly exclusiveBytes: number | undefined
  readonly exclusiveLimitBytes: number | undefined
}

const unknown: Space = {
  usageBytes: undefined,
  limitBytes: undefined,
  exclusiveBytes: undefined,
  exclusiveLimitBytes: undefined,
}

/** The space of an image, as `Usage=`, `Limit=` and the exclusive ones of machinectl. */
export function spaceOf(image: Pick<Image, 'path' | 'type'>): Space {
  const path = realpathSync(image.path)
  switch (image.type) {
    case 'raw': {
      const { blocks, size } = statSync(path)
      const usage = blocks * 512
      return {
        usageBytes: usage,
        limitBytes: size,
        exclusiveBytes: usage,
        exclusiveLimitBytes: size,
      }
    }
    case 'block': {
      const size = blockDeviceSize(path)
      return {
        usageBytes: size,
        limitBytes: size,
        exclusiveBytes: size,
        exclusiveLimitBytes: size,
      }
    }
    case 'subvolume':
      return counted(path) ?? unknown
    case 'directory':
      return unknown
  }
}

/** What the kernel has counted of a subvolume: with what is nested in it where a group holds all of that. */
function counted(path: string): GroupFacts | undefined {
  const id = subvolumeId(path)
  return (
    groupFacts(path, groupId(groupLevel.subtree, id)) ??
    groupFacts(path, groupId(groupLevel.leaf, id))
  )
}

/** The space of a directory of images: by its quota group, else what is used on its file system. */
export function spaceOfPool(directory: string): Space {
  if (!existsSync(directory)) return unknown
  const path = realpathSync(directory)
  const group = isSubvolume(path)
    ? groupFacts(path, groupId(groupLevel.pool, subvolumeId(path)))
    : undefined
  if (group !== undefined) return group
  const { blocks, bfree, bsize } = statfsSync(path)
  return { ...unknown, usageBytes: (blocks - bfree) * bsize }
}

/**
 * Limits the space of an image.
 *
 * @param limitBytes undefined lifts the limit
 * @throws NspawnError `NOT_SUPPORTED` for anything but a subvolume, `QUOTA_OFF`, `EROFS` for what is not ours
 */
export function limitImage(image: Image, limitBytes: number | undefined): void {
  refuseForeign(image, 'limit')
  if (image.type !== 'subvolume') {
    throw new NspawnError(`image ${image.name} is a ${image.type}: only subvolumes have limits`, {
      code: 'NOT_SUPPORTED',
      operation: 'limit image',
      subject: image.path,
      hint: 'keep images on btrfs, where each is a subvolume',
    })
  }
  const path = realpathSync(image.path)
  const id = subvolumeId(path)
  limit(path, groupId(groupLevel.leaf, id), limitBytes)
  const subtree = groupId(groupLevel.subtree, id)
  if (groupFacts(path, subtree) !== undefined) limit(path, subtree, limitBytes)
}

/**
 * Limits the space of all images of a directory together. The first limit puts what is there into a
 * group; what is made afterwards joins it, see `joinPool()`.
 *
 * @throws NspawnError `NOT_SUPPORTED` when the directory is no subvolume, `QUOTA_OFF`
 */
export function limitPool(directory: string, limitBytes: number | undefined): void {
  const path = existsSync(directory) ? realpathSync(directory) : undefined
  if (path === undefined || !isSubvolume(path)) {
    throw new NspawnError(`${directory} is no subvolume: quota is only supported on btrfs`, {
      code: 'NOT_SUPPORTED',
      operation: 'limit images',
      subject: directory,
    })
  }
  const group = groupId(groupLevel.pool, subvolumeId(path))
  if (groupFacts(path, group) === undefined) {
    if (groupFacts(path, groupId(groupLevel.leaf, subvolumeId(path))) === undefined)
      throw quotaOff(path)
    createGroup(path, group)
    putIntoGroup(path, groupId(groupLevel.leaf, subvolumeId(path)), group)
    for (const image of listImages({ hidden: true, override: path }))
      if (isSubvolume(image.path))
        putIntoGroup(path, groupId(groupLevel.leaf, subvolumeId(image.path)), group)
  }
  limit(path, group, limitBytes)
}

/** Lets a new image count against the limit of its directory, where there is one. */
export function joinPool(image: string, directory: string): void {
  if (!lstatSync(image).isDirectory() || !isSubvolume(image) || !isSubvolume(directory)) return
  const group = groupId(groupLevel.pool, subvolumeId(directory))
  if (groupFacts(directory, group) === undefined) return
  putIntoGroup(directory, groupId(groupLevel.leaf, subvolumeId(image)), group)
}

function limit(path: string, group: bigint, limitBytes: number | undefined): void {
  try {
    limitGroup(path, group, limitBytes)
  } catch (error) {
    if (!(error instanceof NspawnError) || !['ENOTCONN', 'ENOENT'].includes(error.code)) throw error
    throw quotaOff(path, error)
  }
}

function quotaOff(path: string, cause?: NspawnError): NspawnError {
  return new NspawnError(`quota is off on the file system of ${path}`, {
    code: 'QUOTA_OFF',
    operation: 'limit images',
    subject: path,
    cause,
    hint: `"btrfs quota enable ${path}" turns it on, which costs some speed`,
  })
}
