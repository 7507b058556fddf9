/** A throw-away copy of a disk image: a file without a name, so that it is gone with the last who has it open. */
import { closeSync, constants, ftruncateSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { throwIfCanceled } from '../../errors.ts'
import { stateDirectory } from '../../paths.ts'
import { copyDataTo, cloneFile } from '../../sys/reflink.ts'
import { openedDisk, type OpenDisk } from './open-disk.ts'

/** open(2); Node has no name for it. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY

/**
 * Beside the image if that can be, where it may share its blocks.
 *
 * @throws NspawnError `CANCELED`; errno names as Node has them
 */
export async function copyAnonymously(disk: OpenDisk, signal?: AbortSignal): Promise<OpenDisk> {
  const fd = openNameless(disk.path)
  try {
    if (disk.kind === 'block' || !cloneFile(disk.fd, fd)) {
      ftruncateSync(fd, disk.sizeBytes)
      const copying = copyDataTo(disk.fd, fd, disk.sizeBytes, 0)
      while (copying.next().done !== true) {
        throwIfCanceled(signal, 'copying the disk image')
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const { path, sizeBytes } = disk
    return openedDisk({ fd, path, sizeBytes, kind: 'file', anonymous: true })
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openNameless(image: string): number {
  const flags = O_TMPFILE | constants.O_RDWR
  // Devices lie in a file system of the kernel's.
  if (!image.startsWith('/dev/')) {
    try {
      return openSync(dirname(image), flags, 0o600)
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (!['EROFS', 'EACCES', 'EPERM', 'EOPNOTSUPP', 'EISDIR'].includes(code)) throw error
    }
  }
  const ours = join(stateDirectory(), 'ephemeral')
  mkdirSync(ours, { recursive: true, mode: 0o700 })
  return openSync(ours, flags, 0o600)
}
