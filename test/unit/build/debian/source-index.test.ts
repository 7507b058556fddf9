import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AnswerCache } from '../../../../src/build/answer-cache.ts'
import { describeError } from '../../../../src/errors.ts'
import { findSource } from '../../../../src/build/debian/source-index.ts'
import { serve } from '../../../fixtures/web-server.ts'
import { makeSigner, type Signer } from '../../../fixtures/signing.ts'
import { sha256, sourceArchive, type ArchiveOptions } from '../../../fixtures/source-archive.ts'

let directory: string
let archive: Signer
let stranger: Signer
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'source-index-'))
  archive = await makeSigner(directory, 'archive')
  stranger = await makeSigner(directory, 'stranger')
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const dsc = 'Source: hello\n'
const source = (name: string, version: string) => ({
  name,
  version,
  files: { [`${name}_${version}.dsc`]: dsc, [`${name}.tar`]: 'tar' },
})
const sources = [
  source('hello', '2.9-1'),
  source('hello', '2.10-1'),
  source('hello-traditional', '3.0-1'),
]

async function search(
  name: string,
  options: Partial<ArchiveOptions> & { version?: string; signer?: Signer } = {},
) {
  const routes = await sourceArchive(sources, options.signer ?? archive, {
    suite: 'trixie',
    ...options,
  })
  await using server = await serve(routes)
  const suite = {
    uri: `${server.origin}/debian`.replace('://', '://me:secret@'),
    suite: 'trixie',
    components: ['main'],
    keyrings: [archive.keyring],
  }
  return await findSource({ name, version: options.version, suites: [suite] })
}

test('the newest version of exactly that name is found, with the hashes of its files', async () => {
  const found = await search('hello')
  expect(found).toMatchObject({
    name: 'hello',
    version: '2.10-1',
    suite: 'trixie',
    signers: [expect.stringMatching(new RegExp(`${archive.keyId}$`))],
  })
  expect(found.directory.pathname).toBe('/debian/pool/hello/')
  expect(found.dsc).toEqual({
    name: 'hello_2.10-1.dsc',
    sizeBytes: dsc.length,
    sha256: sha256(dsc),
  })
  expect(found.files.map(({ name }) => name)).toEqual(['hello_2.10-1.dsc', 'hello.tar'])
})

test('a version that was asked for wins over the newest', async () => {
  expect((await search('hello', { version: '2.9-1' })).version).toBe('2.9-1')
})

test('an unknown name says where it was looked for', async () => {
  await expect(search('hell')).rejects.toMatchObject({
    code: 'SOURCE_NOT_FOUND',
    message: expect.stringContaining('trixie'),
  })
})

test('an index is read once for each name, and again when it is another one', async () => {
  const cache = new AnswerCache(join(directory, 'cache'))
  const suiteAt = (origin: string) => [
    { uri: `${origin}/debian`, suite: 'trixie', components: ['main'], keyrings: [archive.keyring] },
  ]
  const asked = (requests: readonly { readonly url?: string | undefined }[]) =>
    requests.filter(({ url }) => url?.endsWith('Sources.gz') === true).length
  await using server = await serve(await sourceArchive(sources, archive, { suite: 'trixie' }))
  const first = await findSource({ name: 'hello', suites: suiteAt(server.origin), cache })
  expect(await findSource({ name: 'hello', suites: suiteAt(server.origin), cache })).toEqual(first)
  expect(asked(server.requests)).toBe(1)
  await findSource({ name: 'hello-traditional', suites: suiteAt(server.origin), cache })
  expect(asked(server.requests)).toBe(2)
  const more = [...sources, source('hello', '3.0-1')]
  await using newer = await serve(await sourceArchive(more, archive, { suite: 'trixie' }))
  const found = await findSource({ name: 'hello', suites: suiteAt(newer.origin), cache })
  expect(found.version).toBe('3.0-1')
})

describe('nothing is taken from an index', () => {
  test('that a stranger signed', async () => {
    await expect(search('hello', { signer: stranger })).rejects.toMatchObject({
      code: 'SIGNER_UNKNOWN',
    })
  })

  test('that is not the one that was signed', async () => {
    const spoil = (index: Buffer) => Buffer.concat([index.subarray(0, -1), Buffer.from([1])])
    await expect(search('hello', { spoil })).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    const longer = (index: Buffer) => Buffer.concat([index, Buffer.from('more')])
    await expect(search('hello', { spoil: longer })).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    })
  })

  test('of another suite', async () => {
    const routes = await sourceArchive(sources, archive, { suite: 'trixie' })
    await using server = await serve({
      '/debian/dists/sid/InRelease': routes['/debian/dists/trixie/InRelease']!,
      '/debian/dists/sid/main/source/Sources.gz':
        routes['/debian/dists/trixie/main/source/Sources.gz']!,
    })
    const suite = {
      uri: `${server.origin}/debian`,
      suite: 'sid',
      components: ['main'],
      keyrings: [archive.keyring],
    }
    await expect(findSource({ name: 'hello', suites: [suite] })).rejects.toThrow(
      'says it is trixie',
    )
  })

  test('that is no longer valid', async () => {
    const release = 'Valid-Until: Sat, 01 Jan 2000 00:00:00 UTC'
    await expect(search('hello', { release })).rejects.toThrow('was valid until 2000-01-01')
  })

  test('and the password of the archive is not told', async () => {
    const spoil = (index: Buffer) => Buffer.concat([index.subarray(0, -1), Buffer.from([1])])
    for (const options of [{ spoil }, { release: 'Date: x', suite: 'sid' }, { signer: stranger }]) {
      const failure = await search('hello', options).catch((error: unknown) => error)
      const told = describeError(failure)
      expect(told).toContain('127.0.0.1')
      expect(told).not.toContain('secret')
    }
  })
})
