/** A regular file as a stream that leaves its descriptor alone, however early its reader stops. */
import { read } from 'node:fs'
import { promisify } from 'node:util'

const readAsync = promisify(read)
const CHUNK = 1 << 18

/**
 * Everything from `start` on, or from where the descriptor stands.
 *
 * @throws (while read) what read(2) says
 */
export async function* readChunks(
  fd: number,
  start: number | 'here',
): AsyncGenerator<Uint8Array, undefined> {
  for (let at = start; ;) {
    const buffer = Buffer.allocUnsafe(CHUNK)
    const { bytesRead } = await readAsync(fd, buffer, 0, CHUNK, at === 'here' ? null : at)
    if (bytesRead === 0) return
    if (at !== 'here') at += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}
