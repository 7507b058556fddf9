/** The read-only mark of an image; each kind has its own. */
import { chmodSync, realpathSync, statSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { setBlockDeviceReadOnly } from '../sys/block-device.ts'
import { setSubvolumeReadOnly } from '../sys/btrfs.ts'
import { setImmutable } from '../sys/inode-flags.ts'
import { imageTypeAt, type Image } from './discover.ts'
import { refuseForeign } from './foreign-image.ts'
import { lockImage } from './lock.ts'

const OWNER_WRITES = 0o200
const NOBODY_WRITES = 0o444

/**
 * Marks the image at `path` read-only, or lifts the mark: the flag of a subvolume, the immutable flag of another
 * directory's top, the write permissions of a file, the kernel's mark of a block device.
 *
 * @throws NspawnError; `ENOTTY` or `EOPNOTSUPP` for a directory on a file system without such a flag
 */
export function markImage(path: string, access: Image['access']): void {
  const readOnly = access === 'read-only'
  const real = realpathSync(path)
  switch (imageTypeAt(real)) {
    case 'subvolume':
      return setSubvolumeReadOnly(real, readOnly)
    case 'directory':
      return setImmutable(real, readOnly)
    case 'raw': {
      const mode = statSync(real).mode & NOBODY_WRITES
      return chmodSync(real, readOnly ? mode : mode | OWNER_WRITES)
    }
    case 'block':
      return setBlockDeviceReadOnly(real, readOnly)
    case undefined:
      throw new NspawnError(`${path} is no image`, { code: 'EINVAL', operation: 'mark image' })
  }
}

/**
 * Marks an image that nobody uses.
 *
 * @throws NspawnError `NOT_SUPPORTED` where a directory cannot be marked, `EBUSY` when it is in use, `EROFS` for what is not ours
 */
export function setImageAccess(image: Image, access: Image['access']): void {
  refuseForeign(image, 'mark')
  const lock = lockImage(image.path, 'exclusive')
  try {
    markImage(image.path, access)
  } catch (error) {
    if (!isMarkless(error)) throw error
    throw new NspawnError(`the file system of ${image.path} has no mark for directories`, {
      code: 'NOT_SUPPORTED',
      operation: 'mark image',
      subject: image.path,
      cause: error,
    })
  } finally {
    lock.release()
  }
}

/** Whether marking failed because the file system knows no marks. */
export function isMarkless(error: unknown): boolean {
  return error instanceof NspawnError && ['ENOTTY', 'EOPNOTSUPP'].includes(error.code)
}
