import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchPackage } from '../../../../src/bootstrap/debian/fetch-packages.ts'
import { Mirrors } from '../../../../src/bootstrap/debian/mirrors.ts'
import { silent } from '../../../../src/log.ts'
import type { ArchivePackage } from '../../../../src/bootstrap/debian/archive-package.ts'
import { serve, type Responder } from '../../../fixtures/web-server.ts'
import { sha256 } from '../../../fixtures/source-archive.ts'
import { indexOf } from './packages.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fetch-packages-'))
})

const places = () => ({ packages: directory, pool: '/nonexistent' })

afterEach(() => rmSync(directory, { recursive: true }))

const content = Buffer.from('a package')

/** Those that wait no longer than a test may. */
function mirrorsAt(...[first, ...others]: readonly [string, ...string[]]): Mirrors {
  const base = (origin: string) => new URL(`${origin}/debian/`)
  return new Mirrors([base(first), ...others.map(base)], silent, { stallMs: 100, retries: 1 })
}

function packageAt(...origins: readonly [string, ...string[]]): ArchivePackage {
  const one = indexOf({ packages: { 'a=1:2': {} } }).candidate('a')!
  return {
    ...one,
    mirrors: mirrorsAt(...origins),
    sizeBytes: content.length,
    digest: { algorithm: 'sha256', hex: sha256(content) },
  }
}

test('a package has the name that apt gives it, its epoch included', async () => {
  await using server = await serve({ '/debian/pool/a.deb': content })
  const path = await fetchPackage(packageAt(server.origin), places())
  expect(path).toBe(join(directory, 'a_1%3a2_all.deb'))
})

test('a mirror that stalls is given up, and nothing is left', async () => {
  const stalls: Responder = (_request, response) => {
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, 3))
  }
  await using server = await serve({ '/debian/pool/a.deb': stalls })
  const fetching = fetchPackage(packageAt(server.origin), places())
  await expect(fetching).rejects.toMatchObject({ code: 'STALLED' })
  expect(server.requests).toHaveLength(2)
  expect(readdirSync(directory)).toEqual([])
})

test('where one mirror fails the next one is asked, and first from then on', async () => {
  let asked = 0
  await using broken = await serve({
    '/debian/pool/a.deb'(_request, response) {
      asked++
      response.writeHead(200, { 'content-length': content.length })
      response.write(content.subarray(0, 3), () => response.destroy())
    },
  })
  await using good = await serve({ '/debian/pool/a.deb': content })
  const one = packageAt(broken.origin, good.origin)
  for (let round = 0; round < 2; round++) rmSync(await fetchPackage(one, places()))
  expect(asked).toBe(1)
  expect(good.requests).toHaveLength(2)
})

test('a mirror with another file under the name is passed over, the last one is told of', async () => {
  await using wrong = await serve({ '/debian/pool/a.deb': Buffer.from('A package') })
  await using gone = await serve({})
  await expect(fetchPackage(packageAt(wrong.origin, gone.origin), places())).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
  expect(readdirSync(directory)).toEqual([])
})

test('a package of an earlier run is not fetched again, unless it is another one', async () => {
  await using server = await serve({ '/debian/pool/a.deb': content })
  const pool = join(directory, 'pool')
  mkdirSync(pool)
  const brought = async (kept: string) => {
    writeFileSync(join(pool, 'a_1%3a2_all.deb'), kept)
    const packages = mkdtempSync(join(directory, 'packages-'))
    const path = await fetchPackage(packageAt(server.origin), { packages, pool })
    expect(readFileSync(path, 'utf8')).toBe('a package')
    return server.requests.length
  }
  expect(await brought('a package')).toBe(0)
  expect(await brought('A package')).toBe(1)
  expect(readFileSync(join(pool, 'a_1%3a2_all.deb'), 'utf8')).toBe('A package')
})

test('a package that has a SHA512 only is checked by that', async () => {
  await using server = await serve({ '/debian/pool/a.deb': content })
  const right = createHash('sha512').update(content).digest('hex')
  const fetched = (hex: string) =>
    fetchPackage({ ...packageAt(server.origin), digest: { algorithm: 'sha512', hex } }, places())
  await expect(fetched('0'.repeat(128))).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
    operation: 'check sha512',
  })
  expect(readdirSync(directory)).toEqual([])
  expect(readFileSync(await fetched(right))).toEqual(content)
})
