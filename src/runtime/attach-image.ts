/**
 * A disk image for one container: looked into, opened as the settings and its policy say, and held until the container has
 * ended. Its root is mounted for us to look at, nowhere where anybody else would see it.
 */
import type { CleanupStack } from '../cleanup.ts'
import { attachImage, foreseeImage, type ImageMount } from '../images/disk/attach-image.ts'
import { copyAnonymously } from '../images/disk/anonymous-copy.ts'
import { aboutDisk } from '../images/disk/about-disk.ts'
import { dissectDisk } from '../images/disk/dissect.ts'
import { embeddedIntegrity, statedIntegrity } from '../images/disk/integrity.ts'
import { openDisk, type OpenDisk } from '../images/disk/open-disk.ts'
import type { DiskArchitecture } from '../images/disk/system-types.ts'
import { decideUse, type UsedPartition } from '../images/disk/use.ts'
import { prepareImageOverlay } from '../images/ephemeral.ts'
import type { LogSink } from '../log.ts'
import type { ImageSettings } from '../settings/settings.ts'
import { defaultImagePolicy } from '../settings/values/image-policy.ts'
import { close } from '../sys/fd.ts'
import { mountDetached } from '../sys/mount.ts'
import { descriptorPath } from '../sys/openat2.ts'

export interface ImageRequest {
  /** Absolute. */
  readonly path: string
  readonly settings: ImageSettings
  readonly access: 'read-only' | 'read-write'
  /** Nothing that is written stays. */
  readonly throwAway: boolean
}

export interface AttachedImage {
  readonly mounts: readonly ImageMount[]
  /** Where its root and /usr can be seen; undefined where there is none, or nobody looks. */
  readonly root: string | undefined
  readonly usr: string | undefined
  /** What is written goes here instead. */
  readonly overlay: { readonly upper: string; readonly workDirectory: string } | undefined
}

/** @throws NspawnError `IMAGE_…`, errno names, `PROGRAM_…` */
export async function attachDiskImage(
  request: ImageRequest,
  log: LogSink,
  cleanup: CleanupStack,
): Promise<AttachedImage> {
  const { path, settings, throwAway } = request
  const original = openDisk(path, 'read')
  cleanup.defer(`image ${path}`, () => original[Symbol.dispose]())
  const used = usedOf(original, settings, log)
  const written = request.access === 'read-write' && throwAway
  // An overlay sees nothing of what is mounted into the tree below it.
  const copied = written && used.some(({ designator }) => designator !== 'root')
  const access = written && !copied ? 'read-only' : request.access
  const disk = copied ? await copyAnonymously(original) : original
  if (copied) cleanup.defer(`copy of ${path}`, () => disk[Symbol.dispose]())
  const keys = { keyFile: settings.keyFile, ask: settings.askPassphrase }
  const mounts = await attachImage(disk, used, { access, keys, log }, cleanup)
  const look = (designator: 'root' | 'usr') => {
    const mount = mounts.find((one) => one.designator === designator)
    return mount === undefined ? undefined : mountForUs(mount, cleanup)
  }
  const [root, usr] = [look('root'), look('usr')]
  if (!written || copied || root === undefined) return { mounts, root, usr, overlay: undefined }
  const overlay = prepareImageOverlay(root, path, log, cleanup)
  if (overlay !== undefined) return { mounts, root, usr, overlay }
  const copy = await copyAnonymously(original)
  cleanup.defer(`copy of ${path}`, () => copy[Symbol.dispose]())
  const own = await attachImage(copy, used, { access: 'read-write', keys, log }, cleanup)
  return { mounts: own, root, usr, overlay: undefined }
}

/** The same without doing it: nothing is attached, nobody is asked, and nobody can look into it. */
export function foreseeDiskImage({ path, settings, access }: ImageRequest): AttachedImage {
  using disk = openDisk(path, 'read')
  const used = usedOf(disk, settings, () => {})
  const mounts = foreseeImage(disk, used, access)
  return { mounts, root: undefined, usr: undefined, overlay: undefined }
}

/** Which partitions are used, and how. @throws NspawnError as `decideUse()` */
export function usedOf(
  disk: OpenDisk,
  settings: ImageSettings,
  log: LogSink,
): readonly UsedPartition[] {
  const stated = statedIntegrity(disk.path, settings)
  const architectures = ownArchitectures()
  const { used, notices } = aboutDisk(disk.path, () => {
    const layout = dissectDisk(disk.read, disk.sizeBytes, stated?.dataFile !== undefined)
    return decideUse(layout, {
      policy: settings.policy ?? defaultImagePolicy,
      architectures,
      integrity: stated ?? embeddedIntegrity(disk.read, layout, architectures[0] as string),
    })
  })
  for (const text of notices) log({ kind: 'notice', text })
  return used
}

/** What this machine runs, its own first. */
export function ownArchitectures(): readonly DiskArchitecture[] {
  return process.arch === 'arm64' ? ['arm64', 'arm'] : ['x86-64', 'x86']
}

/** With the very same options as the container's mount: the kernel has one super block for both. */
function mountForUs(
  { source, fileSystem, readOnly, options }: ImageMount,
  cleanup: CleanupStack,
): string {
  const attributes = { readOnly, noDev: true, noSuid: true, noExec: true }
  const fd = mountDetached({ source, fstype: fileSystem, readOnly, options, attributes })
  cleanup.defer(`look into ${source}`, () => close(fd))
  return descriptorPath(fd)
}
