/** Whatever bytes an archive has, the answer is entries or an `NspawnError`, and it comes soon. */
import { expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { TarReader, type TarEntry } from '../../../../src/transfer/tar/reader.ts'
import { archive, entry, longName, pax } from '../../../fixtures/archives/by-hand.ts'

/** Archives with all that the reader knows. */
const seeds = [
  archive(entry({ path: 'dir/', type: '5' }), entry({ path: 'dir/file', data: 'x'.repeat(700) })),
  archive(
    longName('n'.repeat(200)),
    entry({ path: 'short', link: 'target', magic: 'gnu' }),
    entry({ path: 'hard', type: '1', link: 'short' }),
    entry({ path: 'disk', type: '4', major: 8, minor: 1 }),
  ),
  archive(
    pax({ comment: 'x', mtime: '1.5' }, 'g'),
    pax({
      path: 'long/name',
      size: '6',
      uid: '100000',
      mtime: '-1.25',
      'SCHILY.xattr.security.capability': '\x01\0\0\x02\0\x20',
      'SCHILY.acl.access': 'user::rw-,other::r--',
      'LIBARCHIVE.xattr.user.a%20b': 'YQ==',
    }),
    entry({ path: 'f', data: 'sixsix' }),
  ),
  archive(
    pax({ 'GNU.sparse.major': '1', 'GNU.sparse.realsize': '900', 'GNU.sparse.name': 'real' }),
    entry({ path: 's', data: '2\n0\n4\n800\n4\n'.padEnd(512, '\0') + '12345678' }),
    pax({ 'GNU.sparse.size': '900', 'GNU.sparse.map': '0,4,800,4' }),
    entry({ path: 's', data: '12345678' }),
    entry({
      path: 's',
      type: 'S',
      magic: 'gnu',
      data: '12345678',
      change: (block) => {
        for (const [i, octal] of ['0', '4', '1440', '4'].entries()) {
          block.write(octal.padStart(11, '0'), 386 + i * 12)
        }
        block.write('00000001604', 483)
      },
    }),
  ),
]

/** The same numbers for the same seed (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** Changes some bytes, cuts or repeats a piece; mostly mends the checksums, so that it is not only they that refuse. */
function mutated(random: (below: number) => number): Buffer {
  let bytes = Buffer.from(seeds[random(seeds.length)] as Buffer)
  for (let i = random(6); i > 0; i--) {
    const at = random(bytes.length)
    switch (random(5)) {
      case 0:
        bytes[at] = random(256)
        break
      case 1:
        bytes[at] = [0, 0x20, 0x30, 0x37, 0x39, 0x80, 0xff, 0x0a, 0x3d][random(9)] as number
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length))])
        break
      default: {
        const other = seeds[random(seeds.length)] as Buffer
        bytes = Buffer.concat([bytes.subarray(0, at & ~511), other.subarray(512 * random(4))])
      }
    }
    if (bytes.length === 0) return bytes
  }
  if (random(8) > 0) mendChecksums(bytes)
  return bytes
}

function mendChecksums(bytes: Buffer): void {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512)
    if (!['ustar', ''].includes(block.toString('latin1', 257, 262).replaceAll('\0', ''))) continue
    if (block.every((byte) => byte === 0)) continue
    block.fill(' ', 148, 156)
    const sum = block.reduce((total, byte) => total + byte, 0)
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  }
}

/** Reads it in pieces. What comes out must make sense, whatever goes in. */
function read(bytes: Buffer, piece: number): string[] {
  const seen: string[] = []
  let open: TarEntry | undefined
  let left = 0
  const sink = {
    begin(begun: TarEntry) {
      expect(open).toBeUndefined()
      open = begun
      left = begun.stored
      expect(Number.isSafeInteger(left) && left >= 0).toBe(true)
      const { segments = [], size = 0 } = begun.sparse ?? {}
      for (let i = 0; i < segments.length; i += 2) {
        const [offset = -1, length = -1] = segments.slice(i, i + 2)
        expect(offset >= 0 && length >= 0 && offset + length <= size).toBe(true)
      }
      seen.push(`${begun.type} ${begun.path} ${begun.link} ${begun.mode} ${begun.stored}`)
    },
    data(chunk: Uint8Array) {
      left -= chunk.length
    },
    end() {
      expect(left).toBe(0)
      open = undefined
    },
  }
  const reader = new TarReader(sink, { end: 'required', warn: (text) => seen.push(text) })
  try {
    for (let at = 0; at < bytes.length; at += piece) reader.push(bytes.subarray(at, at + piece))
    reader.finish()
    expect(open).toBeUndefined()
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
    expect(error.code).toMatch(/^(?:BAD|TRUNCATED)_ARCHIVE$/)
    seen.push(error.message)
  }
  return seen
}

test('the seeds themselves are read', () => {
  for (const seed of seeds) expect(read(seed, 512).join('\n')).not.toContain('bad archive')
})

test('mutated archives give entries that make sense or an error, the same however they are cut', () => {
  const random = generator(20_261)
  let refused = 0
  for (let i = 0; i < 2000; i++) {
    const bytes = mutated(random)
    const whole = read(bytes, Math.max(bytes.length, 1))
    expect(read(bytes, 1 + random(600)), `mutation ${i}`).toEqual(whole)
    if (whole.at(-1)?.startsWith('bad archive') === true) refused++
  }
  // Neither all of them fall at the first check, nor do all pass.
  expect(refused).toBeGreaterThan(300)
  expect(refused).toBeLessThan(1900)
})
