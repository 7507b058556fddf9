/** Copying the contents of files: shared blocks where the file system can, holes kept in any case. */
import { dataExtents, seekTo } from './data-ranges.ts'
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

/* <linux/fs.h>, <unistd.h> */
const FICLONE = 0x40049409n

const ioctlFd = lazyFunction('int ioctl(int fd, uint64_t request, long source)')
const copyFileRangeCall = lazyFunction(
  'int64_t copy_file_range(int in, void *inOffset, int out, void *outOffset, size_t length, unsigned int flags)',
)
const ftruncate = lazyFunction('int ftruncate(int fd, int64_t length)')
const readCall = lazyFunction('int64_t read(int fd, void *buffer, size_t count)')
const writeCall = lazyFunction('int64_t write(int fd, void *buffer, size_t count)')

/** Answers that mean "not between these two files", not "something is wrong". */
const cannot = ['EOPNOTSUPP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS', 'EPERM', 'EBADF', 'ETXTBSY']

/**
 * Makes `target` share all blocks of `source`.
 *
 * @returns false when the file system cannot
 * @see ioctl_ficlone(2)
 */
export function cloneFile(source: number, target: number): boolean {
  if (ioctlFd(target, FICLONE, source) === 0) return true
  if (cannot.includes(errnoName(lastErrno()))) return false
  return fail('ioctl(FICLONE)')
}

export interface CopyState {
  /** What FICLONE and copy_file_range are still believed to do between these file systems. */
  clone: boolean
  range: boolean
}

/** Contents are copied in pieces of this size, so that a large file does not hold up the process. */
const PIECE = 16 << 20

/**
 * Copies everything in `source`, `sizeBytes` long with `blocks` units of 512 bytes on disk, into the
 * empty file `target`, stopping after each piece for the caller to go on. Both offsets must be 0.
 *
 * @param state shared by all files of one tree, so that what cannot work is tried once
 */
export function* copyContents(
  source: number,
  target: number,
  sizeBytes: number,
  blocks: number,
  state: CopyState,
): Generator<undefined> {
  if (sizeBytes === 0) return
  if (state.clone) {
    if (cloneFile(source, target)) return
    state.clone = false
  }
  if (blocks * 512 >= sizeBytes) return yield* copyRange(source, target, sizeBytes, state)
  for (const { start, end } of dataExtents(source, sizeBytes)) {
    seekTo(source, start)
    seekTo(target, start)
    yield* copyRange(source, target, end - start, state)
  }
  if (ftruncate(target, sizeBytes) < 0) fail('ftruncate')
}

/**
 * Copies the data of `source`, `sizeBytes` long, into `target` at `offset`; holes are left as they are there. Stops after
 * each piece for the caller to go on. Moves the offsets of both.
 */
export function* copyDataTo(
  source: number,
  target: number,
  sizeBytes: number,
  offset: number,
): Generator<undefined> {
  const state: CopyState = { clone: false, range: true }
  for (const { start, end } of dataExtents(source, sizeBytes)) {
    seekTo(source, start)
    seekTo(target, offset + start)
    yield* copyRange(source, target, end - start, state)
    yield undefined
  }
}

let block: Uint8Array | undefined

/** Copies `lengthBytes` at the current offsets of both; stops early when the source ends. */
function* copyRange(
  source: number,
  target: number,
  lengthBytes: number,
  state: CopyState,
): Generator<undefined> {
  let left = lengthBytes
  while (left > 0 && state.range) {
    const copied = Number(copyFileRangeCall(source, null, target, null, Math.min(left, PIECE), 0))
    if (copied > 0) {
      left -= copied
      if (left > 0) yield undefined
    } else if (copied === 0) return
    else if (cannot.includes(errnoName(lastErrno()))) state.range = false
    else fail('copy_file_range')
  }
  while (left > 0) {
    block ??= new Uint8Array(1 << 18)
    const got = Number(readCall(source, block, Math.min(left, block.length)))
    if (got < 0) fail('read')
    if (got === 0) return
    for (let put = 0; put < got;) {
      const written = Number(writeCall(target, block.subarray(put, got), got - put))
      if (written < 0) fail('write')
      put += written
    }
    left -= got
    if (left > 0) yield undefined
  }
}
