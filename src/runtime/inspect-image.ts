/** What is in a disk image, for people: its partitions, what would be mounted where, and what system it is. */
import { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { aboutDisk } from '../images/disk/about-disk.ts'
import { dissectDisk, type DiskLayout, type DiskPartition } from '../images/disk/dissect.ts'
import { openDisk } from '../images/disk/open-disk.ts'
import type { UsedPartition } from '../images/disk/use.ts'
import { readImageMetadata, type ImageMetadata } from '../images/metadata.ts'
import type { LogSink } from '../log.ts'
import type { ImageSettings } from '../settings/settings.ts'
import { attachDiskImage, usedOf } from './attach-image.ts'

export interface InspectedPartition extends DiskPartition {
  /** Undefined: it is not mounted. */
  readonly mountPoint: string | undefined
  readonly protection: 'none' | 'encrypted' | 'verity' | undefined
}

export interface ImageReport extends Omit<DiskLayout, 'partitions'> {
  readonly path: string
  readonly partitions: readonly InspectedPartition[]
  /** Undefined where nobody can look into it, and `unread` says why. */
  readonly inside: ImageMetadata | undefined
  /** Why it cannot be started, or not be looked into. */
  readonly unread: string | undefined
}

/**
 * Looks into an image without changing it.
 *
 * @throws NspawnError `IMAGE_INVALID` where it has no partitions that could be told of
 */
export async function inspectDiskImage(
  path: string,
  settings: ImageSettings,
  log: LogSink,
): Promise<ImageReport> {
  using disk = openDisk(path, 'read')
  const bare = settings.verityData !== undefined
  const { partitions, ...layout } = aboutDisk(path, () =>
    dissectDisk(disk.read, disk.sizeBytes, bare),
  )
  let used: readonly UsedPartition[] = []
  let inside: ImageMetadata | undefined
  let unread: string | undefined
  try {
    used = usedOf(disk, settings, log)
    inside = await readInside(path, settings)
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
    unread = error.message
  }
  return {
    ...layout,
    ...{ path, inside, unread },
    partitions: partitions.map((partition) => {
      const use = used.find((one) => one.partition.number === partition.number)
      return {
        ...partition,
        mountPoint: use === undefined ? undefined : mountPoints[use.designator],
        protection: use?.protection.kind,
      }
    }),
  }
}

const mountPoints: Readonly<Record<UsedPartition['designator'], string>> = {
  root: '/',
  usr: '/usr',
  home: '/home',
  srv: '/srv',
  var: '/var',
  tmp: '/var/tmp',
  xbootldr: '/boot',
  esp: '/efi or /boot',
}

/** What the system in an image says of itself. @throws NspawnError as `attachDiskImage()` */
export async function readInside(
  path: string,
  settings: ImageSettings,
): Promise<ImageMetadata | undefined> {
  await using cleanup = new CleanupStack()
  const request = { path, settings, access: 'read-only', throwAway: false } as const
  const { root, usr } = await attachDiskImage(request, () => {}, cleanup)
  const told = root === undefined ? undefined : readImageMetadata(root)
  if (usr === undefined || told?.osRelease !== undefined) return told
  // A /usr by itself has its file one level higher.
  const { osRelease } = readImageMetadata(usr, ['/lib/os-release'])
  return { hostname: undefined, machineId: undefined, machineInfo: {}, ...told, osRelease }
}
