import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ArchiveCache } from '../../../../src/bootstrap/debian/archive-cache.ts'
import { Paragraph } from '../../../../src/bootstrap/debian/deb822.ts'
import { readPackageIndex } from '../../../../src/bootstrap/debian/package-index.ts'
import { Mirrors } from '../../../../src/bootstrap/debian/mirrors.ts'
import type { SuiteRelease } from '../../../../src/bootstrap/debian/release.ts'
import { silent } from '../../../../src/log.ts'
import { sha256 } from '../../../fixtures/source-archive.ts'
import { temporaryDirectory } from '../../../fixtures/temporary.ts'
import { serve } from '../../../fixtures/web-server.ts'

const plain = Buffer.from('Package: a\nVersion: 1\n')

const path = '/dists/s/main/binary-amd64/Packages'

function releaseAt(origins: readonly string[], signed: Buffer): SuiteRelease {
  const [base, ...others] = origins.map((origin) => new URL(`${origin}/`))
  return {
    suite: 's',
    base: base!,
    mirrors: new Mirrors([base!, ...others], silent, { stallMs: 100, retries: 0 }),
    directory: new URL('dists/s/', base),
    fields: new Paragraph(),
    signers: [],
    files: new Map([
      [
        'main/binary-amd64/Packages',
        { sizeBytes: signed.length, digest: { algorithm: 'sha256', hex: sha256(signed) } },
      ],
    ]),
  }
}

test('the release must have all components that are asked for, suites beside it need not', async () => {
  await using server = await serve({ [path]: plain })
  const release = releaseAt([server.origin], plain)
  const read = async (...asked: readonly (readonly string[])[]) => {
    const sources = asked.map((components) => ({ release, components }))
    return [...(await readPackageIndex(sources, 'amd64', {})).names]
  }
  expect(await read(['main'], ['main', 'contrib'])).toEqual(['a'])
  await expect(read(['main', 'contrib'])).rejects.toMatchObject({
    code: 'BOOTSTRAP_SUITE',
    message: 's has no component contrib for amd64',
  })
})

test('what a mirror said before it failed is forgotten, and the next one is asked', async () => {
  const wrong = Buffer.from('Package: b\nVersion: 1\n\nPackage: c\nVersion: 1\n')
  const right = Buffer.from('Package: d\nVersion: 1\n\nPackage: e\nVersion: 2\n')
  await using liar = await serve({ [path]: wrong })
  await using honest = await serve({ [path]: right })
  const sources = (...origins: string[]) => [
    { release: releaseAt(origins, right), components: ['main'] },
  ]
  const index = await readPackageIndex(sources(liar.origin, honest.origin), 'amd64', {})
  expect([...index.names]).toEqual(['d', 'e'])
  await expect(readPackageIndex(sources(liar.origin), 'amd64', {})).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
  })
})

test('an index is kept, read again without the mirror, and fetched again when it was damaged', async () => {
  await using directory = await temporaryDirectory()
  const cache = new ArchiveCache(directory.path)
  await using server = await serve({ [path]: plain })
  const sources = [{ release: releaseAt([server.origin], plain), components: ['main'] }]
  const names = async (network: 'allowed' | 'forbidden') => [
    ...(await readPackageIndex(sources, 'amd64', { cache, network })).names,
  ]
  await expect(names('forbidden')).rejects.toMatchObject({ code: 'NOT_CACHED' })
  expect(await names('allowed')).toEqual(['a'])
  expect(await names('forbidden')).toEqual(['a'])
  expect(server.requests).toHaveLength(1)
  const [kept] = readdirSync(directory.path)
  writeFileSync(join(directory.path, kept!), 'damaged')
  expect(await names('allowed')).toEqual(['a'])
  expect(server.requests).toHaveLength(2)
  expect(readdirSync(directory.path)).toEqual([kept])
})
