import { expect, test } from 'vitest'
import { splitAtStreams } from '../../../src/transfer/xz-streams.ts'

/** Magic, flags (CRC64) and their checksum. */
const header = Buffer.from('fd377a585a000004e6d6b446', 'hex')
const almost = Buffer.from('fd377a585a000004e6d6b447', 'hex')

async function split(bytes: Buffer, piece: number): Promise<{ bytes: string; cut: boolean }[]> {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece)
  }
  const found: { bytes: string; cut: boolean }[] = [{ bytes: '', cut: false }]
  for await (const segment of splitAtStreams(pieces())) {
    expect(segment.bytes.length).toBeGreaterThan(0)
    const last = found.at(-1)
    if (last === undefined) continue
    last.bytes += Buffer.from(segment.bytes).toString('hex')
    if (segment.endsBeforeStream) found.push({ bytes: '', cut: true })
  }
  return found
}

test.each([1, 5, 12, 13, 1000])(
  'xz data are cut before every header but the first, in pieces of %i bytes',
  async (piece) => {
    const body = Buffer.alloc(40, 'body')
    const first = Buffer.concat([header, body, almost, body])
    const found = await split(Buffer.concat([first, header, header, body]), piece)
    expect(found.map(({ bytes }) => bytes)).toEqual([
      first.toString('hex'),
      header.toString('hex'),
      Buffer.concat([header, body]).toString('hex'),
    ])
  },
)
