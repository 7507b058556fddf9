/** The bytes that a program writes into a pipe, in few large chunks. */
import { Socket, type OnReadOpts } from 'node:net'
import { growPipe } from '../sys/fd.ts'

export type ChunkUse = 'lent' | 'given'

const PIPE_BYTES = 1 << 20
const CHUNK_BYTES = 1 << 18
const PAUSE_MS = 2

/**
 * Reads a pipe to its end, and closes it. A decompressor writes a few KiB at a time: asked for each, it would be
 * woken, and we, thousands of times. So after a chunk that was not full the pipe is left alone for a moment.
 *
 * @param fd its reading end
 * @param chunks `lent`: a chunk's bytes are only valid until the next is asked for. Else each is a buffer of its own,
 *   and the garbage of a long stream costs time and some 60 MB
 */
export async function* readPipe(fd: number, chunks: ChunkUse): AsyncGenerator<Uint8Array> {
  growPipe(fd, PIPE_BYTES)
  const ready: Uint8Array[] = []
  let over = false
  let failure: Error | undefined
  let wake = () => {}
  const onread: OnReadOpts = {
    // Nothing is read while a chunk is with its user.
    buffer:
      chunks === 'lent'
        ? Buffer.allocUnsafeSlow(CHUNK_BYTES)
        : () => Buffer.allocUnsafeSlow(CHUNK_BYTES),
    callback: (length, buffer) => {
      ready.push(buffer.subarray(0, length))
      wake()
      return false
    },
  }
  const options = { fd, readable: true, writable: false, onread }
  const socket = new Socket(options)
  const end = () => {
    over = true
    wake()
  }
  socket.on('error', (error) => (failure = error))
  socket.on('end', end)
  socket.on('close', end)
  try {
    for (;;) {
      const chunk = ready.shift()
      if (chunk !== undefined) {
        yield chunk
        if (chunk.length < CHUNK_BYTES && !over) {
          await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
        }
        continue
      }
      if (failure !== undefined) throw failure
      if (over) return
      const woken = new Promise<void>((resolve) => (wake = resolve))
      socket.resume()
      await woken
    }
  } finally {
    socket.destroy()
  }
}
