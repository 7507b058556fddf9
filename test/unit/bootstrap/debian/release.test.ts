import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ArchiveCache } from '../../../../src/bootstrap/debian/archive-cache.ts'
import { fetchReleaseWithSpare } from '../../../../src/bootstrap/debian/release-keyrings.ts'
import { fetchRelease } from '../../../../src/bootstrap/debian/release.ts'
import { makeSigner } from '../../../fixtures/signing.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { serve } from '../../../fixtures/web-server.ts'

const hour = 3_600_000

async function read(...lines: readonly string[]): Promise<string> {
  const text = ['Suite: s', ...lines].join('\n')
  await using server = await serve({ '/dists/s/InRelease': `${text}\n` })
  const source = { uri: server.origin, suite: 's', keyrings: [], signatures: 'ignored' } as const
  return (await fetchRelease(source)).suite
}

test('an index from the future is refused, since the clock is behind', async () => {
  const of = (ms: number) => `Date: ${new Date(Date.now() + ms).toUTCString()}`
  await expect(read(of(25 * hour))).rejects.toMatchObject({
    code: 'INDEX_REFUSED',
    hint: expect.stringContaining('clock') as string,
  })
  expect(await read(of(23 * hour))).toBe('s')
})

test('an index past its end counts where that is asked for, with a hint how', async () => {
  const text = 'Suite: s\nValid-Until: Sat, 01 Jan 2000 00:00:00 UTC\n'
  await using server = await serve({ '/dists/s/InRelease': text })
  const source = { uri: server.origin, suite: 's', keyrings: [], signatures: 'ignored' } as const
  await expect(fetchRelease(source)).rejects.toMatchObject({
    message:
      'the index of s was valid until 2000-01-01T00:00:00.000Z, and the mirror has nothing newer',
    hint: expect.stringContaining('--no-check-valid-until') as string,
  })
  expect((await fetchRelease({ ...source, outdated: 'accepted' })).suite).toBe('s')
})

test(
  'a signed index is kept with its signature, and checked again when it comes from the cache',
  { timeout: 60_000 },
  async () => {
    await using directory = await temporaryDirectory()
    const [alice, bob] = [
      await makeSigner(directory.path, 'alice'),
      await makeSigner(directory.path, 'bob'),
    ]
    const cache = new ArchiveCache(join(directory.path, 'cache'))
    const server = await serve({ '/dists/s/InRelease': await alice.sign('Suite: s\n') })
    const source = { uri: server.origin, suite: 's', keyrings: [alice.keyring], cache }
    const offline = { ...source, network: 'forbidden' } as const
    await expect(fetchRelease(offline)).rejects.toMatchObject({
      code: 'NOT_CACHED',
      message: 'the index of s is not in the cache',
    })
    const { signers } = await fetchRelease(source)
    await server[Symbol.asyncDispose]()
    expect((await fetchRelease(offline)).signers).toEqual(signers)
    await expect(fetchRelease({ ...offline, keyrings: [bob.keyring] })).rejects.toMatchObject({
      code: 'SIGNER_UNKNOWN',
    })
  },
)

test('an index is refused past the end of its time, and when that cannot be read', async () => {
  const until = (ms: number) => `Valid-Until: ${new Date(Date.now() + ms).toUTCString()}`
  expect(await read(until(hour))).toBe('s')
  for (const line of [until(-hour), 'Valid-Until: some day'])
    await expect(read(line)).rejects.toMatchObject({ code: 'INDEX_REFUSED' })
})

test(
  'the spare keyring is asked only when the first one lacks the key',
  { timeout: 60_000 },
  async () => {
    await using directory = await temporaryDirectory()
    const alice = await makeSigner(directory.path, 'alice')
    const bob = await makeSigner(directory.path, 'bob')
    const signed = await alice.sign('Suite: s\n')
    await using server = await serve({
      '/good/dists/s/InRelease': signed,
      '/changed/dists/s/InRelease': signed.replace('Suite: s', 'Suite: s, t'),
    })
    const attempt = async (path: string, first: string, spare: string | undefined) => {
      let used = 0
      const source = { uri: `${server.origin}/${path}`, suite: 's', keyrings: [first] }
      const release = await fetchReleaseWithSpare(source, spare, () => used++)
      return [release.signers.length, used]
    }
    expect(await attempt('good', alice.keyring, bob.keyring)).toEqual([1, 0])
    expect(await attempt('good', bob.keyring, alice.keyring)).toEqual([1, 1])
    for (const spare of [undefined, bob.keyring]) {
      await expect(attempt('good', bob.keyring, spare)).rejects.toMatchObject({
        code: 'SIGNER_UNKNOWN',
      })
    }
    await expect(attempt('changed', bob.keyring, alice.keyring)).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    })
  },
)
