/** The log of a build while it grows. */
import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfCanceled } from '../errors.ts'
import { buildNow, logOf, type KnownBuild } from './history.ts'

const pauseMs = 100
const pieceBytes = 64 * 1024

/**
 * Hands on what a build says, until it has ended.
 *
 * @param lines of what it has said already; the default is all
 * @returns the build as it ended
 * @throws NspawnError `CANCELED`
 */
export async function followBuild(
  build: KnownBuild,
  say: (piece: Buffer) => Promise<void> | void,
  { lines, signal }: { readonly lines?: number | undefined; readonly signal: AbortSignal },
): Promise<KnownBuild> {
  await using log = await open(logOf(build))
  let at = lines === undefined ? 0 : await startOfLast(log, lines)
  for (;;) {
    throwIfCanceled(signal, 'following the build')
    // Asked before the log is read: what is said until it has ended is there then.
    const now = await buildNow(build)
    for (;;) {
      const { bytesRead, buffer } = await log.read(Buffer.alloc(pieceBytes), 0, pieceBytes, at)
      if (bytesRead === 0) break
      at += bytesRead
      await say(buffer.subarray(0, bytesRead))
    }
    if (now.state !== 'running') return now
    await sleep(pauseMs)
  }
}

/** Where the last lines of a file begin, as far back as they can be expected. */
async function startOfLast(log: FileHandle, lines: number): Promise<number> {
  const { size } = await log.stat()
  const from = Math.max(0, size - pieceBytes)
  const { buffer, bytesRead } = await log.read(Buffer.alloc(pieceBytes), 0, pieceBytes, from)
  const text = buffer.subarray(0, bytesRead)
  let at = bytesRead
  for (let left = lines; left >= 0 && at > 0; left--) at = text.lastIndexOf(0x0a, at - 1)
  return from + at + 1
}
