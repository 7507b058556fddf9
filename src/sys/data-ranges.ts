/** Where a file has data and where holes. @see lseek(2), "Seeking file data and holes" */
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const SEEK_DATA = 3
const SEEK_HOLE = 4

const lseek = lazyFunction('int64_t lseek(int fd, int64_t offset, int whence)')

/** Offsets and lengths of the data of an open file by turns, ascending. */
export function dataRanges(fd: number, sizeBytes: number): number[] {
  const ranges: number[] = []
  for (let at = 0; at < sizeBytes;) {
    const data = seek(fd, at, SEEK_DATA)
    if (data === undefined || data >= sizeBytes) break
    const end = Math.min(seek(fd, data, SEEK_HOLE) ?? sizeBytes, sizeBytes)
    ranges.push(data, end - data)
    at = end
  }
  return ranges
}

/** undefined when there is no more of what is sought. */
function seek(fd: number, offset: number, whence: number): number | undefined {
  const position = Number(lseek(fd, offset, whence))
  if (position >= 0) return position
  if (errnoName(lastErrno()) === 'ENXIO') return undefined
  return fail('lseek')
}
