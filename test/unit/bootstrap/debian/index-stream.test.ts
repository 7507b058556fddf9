import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { Paragraph } from '../../../../src/bootstrap/debian/deb822.ts'
import type { Digest } from '../../../../src/bootstrap/debian/digest.ts'
import { findIndex, readIndex } from '../../../../src/bootstrap/debian/index-stream.ts'
import { Mirrors } from '../../../../src/bootstrap/debian/mirrors.ts'
import type { SuiteRelease } from '../../../../src/bootstrap/debian/release.ts'
import { sha256 } from '../../../fixtures/source-archive.ts'
import { serve } from '../../../fixtures/web-server.ts'

const paragraphs = Array.from({ length: 3000 }, (_, at) => `Package: p${at}\nVersion: ${at}`)
const plain = `${paragraphs.join('\n\n')}\n`

const digestOf = (data: Buffer): Digest => ({ algorithm: 'sha256', hex: sha256(data) })

function releaseOf(
  origin: string,
  files: Readonly<Record<string, Buffer>>,
  byHash = 'no',
): SuiteRelease {
  const fields = new Paragraph()
  fields.add('Acquire-By-Hash', byHash)
  const directory = new URL(`${origin}/dists/s/`)
  const listed = Object.entries(files).map(
    ([path, data]) => [path, { sizeBytes: data.length, digest: digestOf(data) }] as const,
  )
  return {
    suite: 's',
    base: new URL(origin),
    mirrors: new Mirrors([new URL(origin)]),
    directory,
    fields,
    signers: [],
    files: new Map(listed),
  }
}

async function read(index: Parameters<typeof readIndex>[0]): Promise<string[]> {
  const found: string[] = []
  for await (const some of readIndex(index, {})) found.push(...some)
  return found
}

test.each([1, 2, 7, 64, 100_000])(
  'paragraphs are whole when %i bytes come at a time',
  async (size) => {
    const text = Buffer.from(size < 7 ? `${paragraphs.slice(0, 50).join('\n\n')}\n` : plain)
    await using server = await serve({
      async '/dists/s/main/Packages'(_request, response) {
        for (let at = 0; at < text.length; at += size) {
          response.write(text.subarray(at, at + size))
          if (size < 7) await new Promise((resolve) => setImmediate(resolve))
        }
        response.end()
      },
    })
    const index = findIndex(releaseOf(server.origin, { 'main/Packages': text }), 'main/Packages')
    expect(await read(index!)).toEqual(size < 7 ? paragraphs.slice(0, 50) : paragraphs)
  },
)

test('an index is asked for by its hash first, and by its name where the hash is gone', async () => {
  const data = gzipSync(plain)
  await using server = await serve({ '/dists/s/main/Packages.gz': data })
  const release = releaseOf(server.origin, { 'main/Packages.gz': data }, 'yes')
  expect(await read(findIndex(release, 'main/Packages')!)).toHaveLength(3000)
  expect(server.requests.map(({ url }) => url)).toEqual([
    `/dists/s/main/by-hash/SHA256/${sha256(data)}`,
    '/dists/s/main/Packages.gz',
  ])
})

test('there is no index that the release does not name', () => {
  expect(findIndex(releaseOf('http://a.example', {}), 'main/Packages')).toBeUndefined()
})

test('one that is not what was signed is an error after its last paragraph', async () => {
  const data = gzipSync(plain)
  await using server = await serve({
    '/dists/s/Packages.gz': gzipSync(plain.replace('p2999', 'p3000')),
  })
  const signed = findIndex(releaseOf(server.origin, { 'Packages.gz': data }), 'Packages')
  await expect(read(signed!)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
})

test('an index whose SHA512 alone was signed is asked for and checked by that', async () => {
  const data = gzipSync(plain)
  const hex = createHash('sha512').update(data).digest('hex')
  await using server = await serve({ [`/dists/s/main/by-hash/SHA512/${hex}`]: data })
  const release = releaseOf(server.origin, {}, 'yes')
  const signed = (digest: string) => ({
    ...release,
    files: new Map([
      [
        'main/Packages.gz',
        { sizeBytes: data.length, digest: { algorithm: 'sha512', hex: digest } as const },
      ],
    ]),
  })
  expect(await read(findIndex(signed(hex), 'main/Packages')!)).toHaveLength(3000)
  const other = {
    ...findIndex(signed(hex), 'main/Packages')!,
    digest: { algorithm: 'sha512', hex: 'f'.repeat(128) } as const,
  }
  await expect(read(other)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
})
