/** Compressed streams come out plain whatever decompresses them, and damaged ones are told. */
import { execa } from 'execa'
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { compress, compressionByName, type Compression } from '../../../src/transfer/compress.ts'
import { openPlain, type PlainOptions } from '../../../src/transfer/decompress.ts'

/** Some of it compresses and some does not; longer than the buffers on the way. */
const plain = Buffer.concat([Buffer.alloc(3 << 20, 'text and more text\n'), randomBytes(1 << 20)])

const programs = { gzip: 'gzip', bzip2: 'bzip2', xz: 'xz', zstd: 'zstd' } as const
const formats = Object.keys(programs) as (keyof typeof programs)[]

async function packed(format: keyof typeof programs): Promise<Buffer> {
  const { stdout } = await execa(programs[format], ['-1', '-c'], {
    input: plain,
    encoding: 'buffer',
  })
  return Buffer.from(stdout)
}

/** As a network would bring it. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 5000) yield bytes.subarray(at, at + 5000)
}

async function whole(bytes: Uint8Array, options?: PlainOptions) {
  const { compression, chunks } = await openPlain(inPieces(bytes), options)
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(Buffer.from(chunk))
  return { compression, bytes: Buffer.concat(parts) }
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

function childrenOfOurs(): string[] {
  return readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  )
}

/** Formats that work without a program of the host, on any Node. */
const embedded = ['gzip', 'xz'] as const
const ways = [
  ...formats.map((format) => ({ format, by: 'host' as const })),
  ...embedded.map((format) => ({ format, by: 'embedded' as const })),
]

describe.each(ways)('$format by the $by way', ({ format, by }) => {
  test('is known by its magic and comes out plain, also when it is two streams', async () => {
    const bytes = await packed(format)
    const one = await whole(bytes, { by })
    expect(one.compression).toBe(format)
    expect(digest(one.bytes)).toBe(digest(plain))
    const two = await whole(Buffer.concat([bytes, bytes]), { by })
    expect(digest(two.bytes)).toBe(digest(Buffer.concat([plain, plain])))
  })

  test('is refused when it stops early, and when a bit is wrong', async () => {
    const bytes = await packed(format)
    await expect(whole(bytes.subarray(0, -1000), { by })).rejects.toMatchObject({
      code: 'BAD_COMPRESSION',
    })
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 4
    await expect(whole(bytes, { by })).rejects.toMatchObject({ code: 'BAD_COMPRESSION' })
  })

  test('reads its source to the end, for those who hash it', async () => {
    const bytes = await packed(format)
    let seen = 0
    async function* counted() {
      for await (const chunk of inPieces(Buffer.concat([bytes, Buffer.alloc(500_000)]))) {
        seen += chunk.length
        yield chunk
      }
    }
    const { chunks } = await openPlain(counted(), { by })
    try {
      for await (const _ of chunks);
      expect(seen).toBe(bytes.length + 500_000)
    } catch (error) {
      expect(error).toMatchObject({ code: 'BAD_COMPRESSION' })
    }
  })

  test('passes on what is wrong with its source', async () => {
    const bytes = await packed(format)
    async function* broken() {
      yield bytes.subarray(0, 1 << 16)
      throw new Error('the network is gone')
    }
    const { chunks } = await openPlain(broken(), { by })
    const reading = (async () => {
      for await (const _ of chunks);
    })()
    await expect(reading).rejects.toThrow('the network is gone')
    expect(childrenOfOurs()).toEqual([])
  })

  test('ends at once when it is given up or canceled, and leaves no process', async () => {
    const bytes = await packed(format)
    const given = await openPlain(inPieces(bytes), { by })
    for await (const _ of given.chunks) break
    expect(childrenOfOurs()).toEqual([])
    const stop = new AbortController()
    async function* stalled() {
      yield bytes.subarray(0, 1 << 16)
      stop.abort()
      await new Promise(() => {})
    }
    const { chunks } = await openPlain(stalled(), { by, signal: stop.signal })
    const reading = (async () => {
      for await (const _ of chunks);
    })()
    await expect(reading).rejects.toMatchObject({ code: 'CANCELED' })
    expect(childrenOfOurs()).toEqual([])
  })
})

test.each(['uncompressed', ...formats] satisfies Compression[])(
  'what is compressed as %s comes back',
  async (format) => {
    const { compression, chunks } = await openPlain(compress(inPieces(plain), format))
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(Buffer.from(chunk))
    expect(compression).toBe(format)
    expect(digest(Buffer.concat(parts))).toBe(digest(plain))
  },
)

test('a compression is chosen by the ending of a name', () => {
  expect(
    ['a.tar.gz', 'a.tgz', 'a.raw.bz2', 'a.tar.xz', 'a.tar.zst', 'a.raw', 'a'].map(
      compressionByName,
    ),
  ).toEqual(['gzip', 'gzip', 'bzip2', 'xz', 'zstd', 'uncompressed', 'uncompressed'])
})

test('lz4 and lzip are refused by their names', async () => {
  await expect(whole(Buffer.from('LZIP\x01..........'))).rejects.toThrow('lzip')
  await expect(whole(Buffer.from([4, 0x22, 0x4d, 0x18, 0, 0, 0]))).rejects.toThrow('lz4')
})

test('bzip2 without a program is refused, naming the package', async () => {
  await expect(whole(await packed('bzip2'), { by: 'embedded' })).rejects.toMatchObject({
    code: 'UNKNOWN_COMPRESSION',
    hint: 'install the package bzip2, then try again',
  })
})
