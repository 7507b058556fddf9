import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchPackage } from '../../../../src/bootstrap/debian/fetch-packages.ts'
import type { ArchivePackage } from '../../../../src/bootstrap/debian/archive-package.ts'
import { serve, type Responder } from '../../../fixtures/web-server.ts'
import { sha256 } from '../../../fixtures/source-archive.ts'
import { indexOf } from './packages.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fetch-packages-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

const content = Buffer.from('a package')

function packageAt(origin: string): ArchivePackage {
  const one = indexOf({ packages: { 'a=1:2': {} } }).candidate('a')!
  return {
    ...one,
    base: new URL(`${origin}/debian/`),
    sizeBytes: content.length,
    sha256: sha256(content),
  }
}

test('a package has the name that apt gives it, its epoch included', async () => {
  await using server = await serve({ '/debian/pool/a.deb': content })
  const path = await fetchPackage(packageAt(server.origin), directory, {})
  expect(path).toBe(join(directory, 'a_1%3a2_all.deb'))
})

test('a mirror that stalls is given up, and nothing is left', async () => {
  const stalls: Responder = (_request, response) => {
    response.writeHead(200, { 'content-length': content.length })
    response.write(content.subarray(0, 3))
  }
  await using server = await serve({ '/debian/pool/a.deb': stalls })
  const fetching = fetchPackage(packageAt(server.origin), directory, { stallMs: 100, retries: 1 })
  await expect(fetching).rejects.toMatchObject({ code: 'STALLED' })
  expect(server.requests).toHaveLength(2)
  expect(readdirSync(directory)).toEqual([])
})
