/** A disk image mounted where everybody on the host sees it, until somebody takes it away. */
import { readFileSync } from 'node:fs'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { mountsBelow } from '../images/remove-tree.ts'
import { lockImage } from '../images/lock.ts'
import { unmountBelow } from '../images/unmount-below.ts'
import type { LogSink } from '../log.ts'
import type { ImageSettings } from '../settings/settings.ts'
import { close, open, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { unmount } from '../sys/mount.ts'
import { attachDiskImage } from './attach-image.ts'
import { mountImageRest, mountImageTree } from './mount-image.ts'

export interface HostMount {
  /** Absolute. */
  readonly path: string
  /** An existing directory, absolute. */
  readonly place: string
  readonly settings: ImageSettings
  readonly access: 'read-only' | 'read-write'
}

/**
 * Mounts all that a container would have of the image. Its devices go away with the last mount.
 *
 * @throws NspawnError as `attachDiskImage()`; `EBUSY` for an image in use, nothing is mounted then
 */
export async function mountOnHost(request: HostMount, log: LogSink): Promise<void> {
  const { path, place, settings, access } = request
  await using cleanup = new CleanupStack()
  const lock = lockImage(path, access === 'read-only' ? 'shared' : 'exclusive')
  cleanup.defer(`lock of ${path}`, () => lock.release())
  const { mounts } = await attachDiskImage(
    { path, settings, access, throwAway: false },
    log,
    cleanup,
  )
  const image = { path, mounts }
  mountImageTree(image, place)
  try {
    const root = open(place, O_PATH | O_DIRECTORY)
    try {
      const owners = { kind: 'as they are', base: 0 } as const
      mountImageRest(image, { kind: 'directory', hostPath: place }, root, owners)
    } finally {
      close(root)
    }
  } catch (error) {
    unmountBelow(place)
    throw error
  }
}

/**
 * Takes away what `mountOnHost()` has mounted at `place`; everything has been written to the image then.
 *
 * @throws NspawnError `USAGE` where no disk image is mounted, `EBUSY` while somebody uses it
 */
export function unmountFromHost(place: string): void {
  const source = sourceOfMount(place)
  if (source === undefined || !/^\/dev\/(loop|mapper\/tsnspawn-|dm-)/.test(source)) {
    throw new NspawnError(`no disk image is mounted at ${place}`, {
      code: 'USAGE',
      operation: 'umount',
      subject: place,
      hint: source === undefined ? undefined : 'umount(8) takes away other mounts',
    })
  }
  for (const point of mountsBelow(place).toReversed()) unmount(point)
}

/** What is mounted there last. */
function sourceOfMount(place: string): string | undefined {
  if (!mountsBelow(place).includes(place)) return undefined
  const lines = readFileSync('/proc/self/mounts', 'latin1').split('\n')
  const octal = Buffer.from(place)
    .toString('latin1')
    .replaceAll(/[\\ \t\n]/g, escaped)
  return lines.map((line) => line.split(' ')).findLast(([, point]) => point === octal)?.[0]
}

/** As the kernel writes them. */
function escaped(character: string): string {
  return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`
}
