/**
 * Where in xz data a stream may end and another begin. The decoder takes one stream and does not say where it stopped;
 * so its input is cut at such places, and it is asked whether it wants what comes behind.
 */
import { crc32 } from '../crc32.ts'

export interface Segment {
  readonly bytes: Uint8Array
  /** Another stream may begin right behind. */
  readonly endsBeforeStream: boolean
}

const MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])
/** Magic, flags, and their checksum (The .xz File Format, 2.1.1). */
const HEADER_BYTES = 12

/** The same bytes, cut before everything that is the header of a stream, but for the first. */
export async function* splitAtStreams(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Segment, undefined> {
  let rest = Buffer.alloc(0)
  let first = true
  for await (const chunk of chunks) {
    let bytes = Buffer.concat([rest, chunk])
    for (;;) {
      const at = findHeader(bytes, first ? 1 : 0)
      if (at < 0) break
      yield { bytes: Buffer.from(bytes.subarray(0, at)), endsBeforeStream: true }
      bytes = bytes.subarray(at)
      first = true
    }
    // A header may have come in half. Never all of what lies before it is handed out: the decoder takes no nothing.
    const kept = Math.min(bytes.length, HEADER_BYTES)
    if (bytes.length > kept) {
      yield { bytes: Buffer.from(bytes.subarray(0, bytes.length - kept)), endsBeforeStream: false }
      first = false
    }
    rest = Buffer.from(bytes.subarray(bytes.length - kept))
  }
  if (rest.length > 0) yield { bytes: rest, endsBeforeStream: false }
  return undefined
}

function findHeader(bytes: Buffer, from: number): number {
  for (let at = from; ; at++) {
    at = bytes.indexOf(MAGIC, at)
    if (at < 0 || at + HEADER_BYTES > bytes.length) return -1
    if (crc32(bytes.subarray(at + 6, at + 8)) === bytes.readUInt32LE(at + 8)) return at
  }
}
