/** Where a file has data and where holes. @see lseek(2), "Seeking file data and holes" */
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const SEEK_SET = 0
const SEEK_DATA = 3
const SEEK_HOLE = 4

const lseek = lazyFunction('int64_t lseek(int fd, int64_t offset, int whence)')

export interface DataExtent {
  readonly start: number
  /** Where the next hole begins, or the file ends. */
  readonly end: number
}

/** Where an open file has data, ascending; the rest of its `sizeBytes` are holes. Moves the file's offset. */
export function* dataExtents(fd: number, sizeBytes: number): Generator<DataExtent> {
  for (let at = 0; at < sizeBytes;) {
    const start = seek(fd, at, SEEK_DATA)
    if (start === undefined || start >= sizeBytes) return
    const end = Math.min(seek(fd, start, SEEK_HOLE) ?? sizeBytes, sizeBytes)
    yield { start, end }
    at = end
  }
}

/** Offsets and lengths of the data of an open file by turns, ascending. */
export function dataRanges(fd: number, sizeBytes: number): number[] {
  return [...dataExtents(fd, sizeBytes)].flatMap(({ start, end }) => [start, end - start])
}

/** Has reading or writing go on at `offset`. */
export function seekTo(fd: number, offset: number): void {
  seek(fd, offset, SEEK_SET)
}

/** undefined when there is no more of what is sought. */
function seek(fd: number, offset: number, whence: number): number | undefined {
  const position = Number(lseek(fd, offset, whence))
  if (position >= 0) return position
  if (errnoName(lastErrno()) === 'ENXIO') return undefined
  return fail('lseek')
}
