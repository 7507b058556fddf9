/** A disk image or block device, open to be read. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { blockDeviceSize } from '../../sys/block-device.ts'
import type { ReadAt } from './gpt.ts'

export interface OpenDisk extends Disposable {
  readonly fd: number
  readonly path: string
  readonly kind: 'file' | 'block'
  /** It has no name any more: `path` is what it was copied from. */
  readonly anonymous: boolean
  readonly sizeBytes: number
  readonly read: ReadAt
}

/**
 * Opens it for reading, or for writing as well.
 *
 * @throws NspawnError `ENOENT`, `IMAGE_INVALID` for what is neither file nor block device, other errno names
 */
export function openDisk(path: string, mode: 'read' | 'read-write'): OpenDisk {
  let fd: number
  try {
    // Non-blocking: a fifo must not wait for its other end.
    const access = mode === 'read' ? constants.O_RDONLY : constants.O_RDWR
    fd = openSync(path, access | constants.O_NONBLOCK)
  } catch (error) {
    throw cannotOpen(path, error as NodeJS.ErrnoException)
  }
  try {
    const facts = fstatSync(fd)
    const kind = kindOf(facts, path)
    const sizeBytes = kind === 'file' ? facts.size : blockDeviceSize(path)
    return openedDisk({ fd, path, kind, sizeBytes, anonymous: false })
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Takes a descriptor over. */
export function openedDisk(facts: Omit<OpenDisk, 'read' | typeof Symbol.dispose>): OpenDisk {
  const { fd, path } = facts
  return { ...facts, read: reader(fd, path), [Symbol.dispose]: () => closeSync(fd) }
}

function kindOf(facts: Stats, path: string): OpenDisk['kind'] {
  if (facts.isFile()) return 'file'
  if (facts.isBlockDevice()) return 'block'
  throw new NspawnError(`${path} is neither a file nor a block device`, {
    code: 'IMAGE_INVALID',
    operation: 'open image',
    subject: path,
    hint: facts.isDirectory() ? 'trees are given with --directory=' : undefined,
  })
}

function reader(fd: number, path: string): ReadAt {
  return (offset, length) => {
    const bytes = Buffer.alloc(length)
    let got = 0
    try {
      while (got < length) {
        const count = readSync(fd, bytes, got, length - got, offset + got)
        if (count === 0) break
        got += count
      }
    } catch (error) {
      throw cannotOpen(path, error as NodeJS.ErrnoException)
    }
    return bytes.subarray(0, got)
  }
}

function cannotOpen(path: string, { code = 'EIO', syscall }: NodeJS.ErrnoException): NspawnError {
  return new NspawnError('cannot read the disk image', {
    code,
    operation: syscall ?? 'open',
    subject: path,
  })
}
