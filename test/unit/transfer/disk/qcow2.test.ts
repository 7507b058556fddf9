import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { convertQcow2 } from '../../../../src/transfer/disk/convert-qcow2.ts'
import { isQcow2, openQcow2 } from '../../../../src/transfer/disk/qcow2.ts'
import { makeQcow2, patched, type ClusterContents } from '../../../fixtures/qcow2.ts'
import { randomBytes, seededRandom } from '../../../fixtures/random.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../../fixtures/temporary.ts'

const CLUSTER = 512
let dir: TemporaryDirectory
beforeAll(async () => (dir = await temporaryDirectory()))
afterAll(() => dir[Symbol.asyncDispose]())

/** The disk in an image, or the error that reading it gives. */
async function convert(image: Buffer, limitBytes?: number): Promise<Buffer> {
  const [source, target] = [join(dir.path, 'image'), join(dir.path, 'disk')]
  writeFileSync(source, image)
  rmSync(target, { force: true })
  const fd = openSync(source, 'r')
  try {
    await convertQcow2(fd, target, { limitBytes })
  } finally {
    closeSync(fd)
  }
  return readFileSync(target)
}

/** Reads where everything is, and checks that it is there, and makes up the disk. */
function inspect(bytes: Buffer): void {
  const path = join(dir.path, 'image')
  writeFileSync(path, bytes)
  const fd = openSync(path, 'r')
  try {
    const image = openQcow2(fd)
    if (image.diskBytes > 1 << 20) return
    let disk = 0
    for (const extent of image.extents()) {
      disk += extent.bytes
      if (extent.kind === 'zero') continue
      const stored = extent.kind === 'data' ? extent.bytes : extent.storedBytes
      expect(extent.offset + stored).toBeLessThanOrEqual(bytes.length)
      expect(stored).toBeGreaterThan(0)
    }
    expect(disk).toBe(image.diskBytes)
  } finally {
    closeSync(fd)
  }
}

const text = (word: string) => Buffer.alloc(CLUSTER, word)
const mixed: readonly ClusterContents[] = [
  text('a'),
  'hole',
  text('b'),
  text('c'),
  'zero',
  { compressed: text('d') },
  { compressed: randomBytes(1, CLUSTER) },
]
const mixedDisk = Buffer.concat([
  text('a'),
  Buffer.alloc(CLUSTER),
  text('b'),
  text('c'),
  Buffer.alloc(CLUSTER),
  text('d'),
  randomBytes(1, CLUSTER),
])

describe('a qcow2 image', () => {
  it('is known by its first bytes', () => {
    expect(isQcow2(Buffer.from('514649fb00', 'hex'))).toBe(true)
    expect(isQcow2(Buffer.from('514649fa', 'hex'))).toBe(false)
    expect(isQcow2(Buffer.from('5146', 'hex'))).toBe(false)
  })

  it('gives its plain, compressed, zero and missing clusters', async () => {
    expect(await convert(makeQcow2(mixed))).toEqual(mixedDisk)
  })

  it('of version 2 gives the same', async () => {
    const clusters = mixed.map((cluster) => (cluster === 'zero' ? 'hole' : cluster))
    expect(await convert(makeQcow2(clusters, { version: 2 }))).toEqual(mixedDisk)
  })

  it('may have its clusters in any order', async () => {
    const image = makeQcow2([text('a'), text('b'), text('c')])
    const entry = (index: number) => image.readBigUInt64BE(2 * CLUSTER + 8 * index)
    const [a, b, c] = [entry(0), entry(1), entry(2)]
    const turned = [c, a, b].reduce(
      (changed, value, index) => patched(changed, 2 * CLUSTER + 8 * index, value),
      image,
    )
    expect(await convert(turned)).toEqual(Buffer.concat([text('c'), text('a'), text('b')]))
  })

  it('may end within a cluster, plain or compressed', async () => {
    const diskBytes = 2 * CLUSTER + 100
    const short = makeQcow2([text('a'), 'hole', text('b')], { diskBytes })
    expect(await convert(short.subarray(0, short.length - CLUSTER + 100))).toEqual(
      Buffer.concat([text('a'), Buffer.alloc(CLUSTER), Buffer.alloc(100, 'b')]),
    )
    const compressed = makeQcow2(['hole', 'hole', { compressed: text('z') }], { diskBytes })
    expect((await convert(compressed)).subarray(2 * CLUSTER)).toEqual(Buffer.alloc(100, 'z'))
  })

  it('may have compressed data that end with the file, before their last sector does', async () => {
    const image = makeQcow2([{ compressed: text('d') }])
    const stored = image.length - CLUSTER
    expect(await convert(image.subarray(0, stored + 20))).toEqual(text('d'))
  })

  it('with clusters of 2 MiB leaves holes as holes', async () => {
    const clusterBits = 21
    const data = Buffer.alloc(2 ** clusterBits)
    data.write('x', 1 << 20)
    const disk = await convert(makeQcow2(['hole', data, 'zero', 'hole'], { clusterBits }))
    expect(disk.length).toBe(4 * 2 ** clusterBits)
    expect(disk[2 ** clusterBits + (1 << 20)]).toBe(0x78)
    expect(statSync(join(dir.path, 'disk')).blocks * 512).toBeLessThanOrEqual(8192)
  })
})

describe('refused is a qcow2 image', () => {
  const good = makeQcow2(mixed)
  const second = 2 * CLUSTER
  const huge = (1n << 55n) | BigInt(CLUSTER)
  const cases: readonly (readonly [string, Buffer, string, RegExp])[] = [
    ['of another version', patched(good, 4, 4), 'UNSUPPORTED_QCOW2', /version 4/],
    ['that is cut off in its header', good.subarray(0, 71), 'BAD_QCOW2', /header/],
    ['with a backing file', patched(good, 8, 0x100n), 'UNSUPPORTED_QCOW2', /differences/],
    ['with the name of a backing file', patched(good, 16, 5), 'UNSUPPORTED_QCOW2', /differences/],
    ['with clusters that are too small', patched(good, 20, 8), 'BAD_QCOW2', /2\^8/],
    ['with clusters that are too large', patched(good, 20, 22), 'BAD_QCOW2', /2\^22/],
    ['without a disk', patched(good, 24, 0n), 'BAD_QCOW2', /empty/],
    ['with an absurd disk', patched(good, 24, 1n << 60n), 'BAD_QCOW2', /has \d+ bytes/],
    ['that is encrypted', patched(good, 32, 1), 'UNSUPPORTED_QCOW2', /encrypted/],
    ['with too few tables', patched(good, 24, 1n << 20n), 'BAD_QCOW2', /has 1 entries/],
    ['with too many tables', patched(good, 36, 0x2000001), 'BAD_QCOW2', /entries/],
    ['with tables behind its end', patched(good, 40, 0x100000n), 'BAD_QCOW2', /first-level/],
    ['with tables far behind its end', patched(good, 40, huge), 'BAD_QCOW2', /first-level/],
    ['with a table in odd places', patched(good, 40, 0x210n), 'BAD_QCOW2', /within a cluster/],
    ['that was not closed', patched(good, 76, 1), 'UNSUPPORTED_QCOW2', /closed/],
    ['that says it is corrupt', patched(good, 76, 2), 'UNSUPPORTED_QCOW2', /corrupt/],
    ['with its data elsewhere', patched(good, 76, 4), 'UNSUPPORTED_QCOW2', /another file/],
    ['compressed otherwise', patched(good, 76, 8), 'UNSUPPORTED_QCOW2', /zlib/],
    ['with subclusters', patched(good, 76, 16), 'UNSUPPORTED_QCOW2', /subclusters/],
    ['of the future', patched(good, 72, 1), 'UNSUPPORTED_QCOW2', /nobody knew/],
    ['with a short header', patched(good, 100, 72), 'BAD_QCOW2', /header/],
    ['whose table is elsewhere', patched(good, CLUSTER, huge), 'BAD_QCOW2', /second-level/],
    ['whose table is askew', patched(good, CLUSTER, 0x600n + 0x200n), 'BAD_QCOW2', /damaged/],
    ['whose cluster is behind its end', patched(good, second, huge), 'BAD_QCOW2', /cluster lies/],
    ['that is cut off in a cluster', good.subarray(0, 3 * CLUSTER + 511), 'BAD_QCOW2', /cluster/],
    [
      'whose compressed cluster is behind its end',
      patched(good, second + 40, (1n << 62n) | 0x10000000n),
      'BAD_QCOW2',
      /compressed cluster lies/,
    ],
    [
      'whose compressed cluster is no deflate',
      patched(good, second + 40, (1n << 62n) | BigInt(second + 8)),
      'BAD_QCOW2',
      /compressed cluster is/,
    ],
    [
      'whose compressed cluster is too short',
      makeQcow2([{ compressed: Buffer.alloc(CLUSTER - 1, 'a') }]),
      'BAD_QCOW2',
      /too short/,
    ],
    [
      'whose compressed cluster is too long',
      makeQcow2([{ compressed: Buffer.alloc(CLUSTER + 1, 'a') }]),
      'BAD_QCOW2',
      /broken/,
    ],
    [
      'of version 2 with zero clusters',
      makeQcow2(['zero'], { version: 2 }),
      'BAD_QCOW2',
      /version 2/,
    ],
  ]

  it.each(cases)('%s', async (_, image, code, message) => {
    const failure = await convert(image).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(NspawnError)
    expect(failure).toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('askew by half a cluster, in clusters of 1 KiB', async () => {
    const image = makeQcow2([Buffer.alloc(1024, 'a')], { clusterBits: 10 })
    await expect(convert(patched(image, 1024, 2560n))).rejects.toThrow(/table begins within/)
    await expect(convert(patched(image, 2048, 2560n))).rejects.toThrow(/not where clusters begin/)
  })

  it('larger than the limit, before anything is made', async () => {
    await expect(convert(good, mixedDisk.length)).resolves.toEqual(mixedDisk)
    await expect(convert(good, mixedDisk.length - 1)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(statSync(join(dir.path, 'disk'), { throwIfNoEntry: false })).toBeUndefined()
  })
})

describe('a qcow2 image with random damage', () => {
  const limitBytes = 1 << 20
  const original = makeQcow2(mixed)
  /** Where damage is not just other contents: the header, and what is used of the tables. */
  const metadata = [
    ...Array.from({ length: 104 }, (_, i) => i),
    ...Array.from({ length: 8 }, (_, i) => CLUSTER + i),
    ...Array.from({ length: 8 * mixed.length }, (_, i) => 2 * CLUSTER + i),
  ]

  it.each([1, 2, 3, 4, 5, 6])('gives a whole disk or a clear error (seed %d)', async (seed) => {
    const random = seededRandom(seed)
    for (let round = 0; round < 250; round++) {
      const image = Buffer.from(original)
      for (let hits = 1 + random(4); hits > 0; hits--) {
        const at =
          random(4) === 0 ? random(image.length) : (metadata[random(metadata.length)] as number)
        image[at] = random(2) === 0 ? random(256) : (image[at] as number) ^ (1 << random(8))
      }
      const cut = random(8) === 0 ? image.subarray(0, random(image.length)) : image
      try {
        // Every write ends with an fsync: a few of them must do.
        if (round % 10 === 0) await convert(cut, limitBytes)
        else inspect(cut)
      } catch (error) {
        if (!(error instanceof NspawnError)) throw error
        expect(['BAD_QCOW2', 'UNSUPPORTED_QCOW2', 'TOO_LARGE'], `round ${round}`).toContain(
          error.code,
        )
      }
    }
  })
})
