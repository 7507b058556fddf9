import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { comparable, findUnchanged, type BuildInputs } from '../../../src/build/unchanged.ts'
import { ownVersion } from '../../../src/version.ts'

const inputs: BuildInputs = {
  driver: 'debian',
  base: { path: '/tree', os: { id: 'debian', version: '12', codename: 'bookworm' }, identity: 'i' },
  source: { name: 'tiny', treeSha256: 'a', signature: undefined },
  options: { jobs: 2, network: 'none', profiles: [] },
  layers: [{ kind: 'toolchain', key: 'k', origin: 'made' }],
}

describe('what goes into a build', () => {
  test('is the same whatever it may do at once, and whoever has made its layers', () => {
    const again = {
      ...inputs,
      options: { jobs: 1, network: 'none', profiles: [] },
      layers: [{ kind: 'toolchain', key: 'k', origin: 'kept' }],
    }
    expect(comparable(again)).toEqual(comparable(inputs))
  })

  test.each([
    ['the source', { source: { name: 'tiny', treeSha256: 'b' } }],
    ['an option', { options: { jobs: 2, network: 'none', profiles: ['nodoc'] } }],
    ['a layer', { layers: [{ kind: 'toolchain', key: 'l' }] }],
    ['a ready package', { repository: [{ name: 'x', sha256: 'c' }] }],
    ['the lock', { lock: { path: '/l', sha256: 'd' } }],
  ])('is another when %s is', (_what, change) => {
    expect(comparable({ ...inputs, ...change })).not.toEqual(comparable(inputs))
  })

  test.each([
    ['a layer that nobody has kept', { layers: [{ kind: 'toolchain', origin: 'made' }] }],
    ['a network', { options: { network: 'host' } }],
    ['a repository', { source: { sources: [{ kind: 'repository' }] } }],
    ['a file without a hash', { source: { sources: [{ kind: 'file' }] } }],
  ])('is not known with %s', (_what, change) => {
    expect(comparable({ ...inputs, ...change })).toBeUndefined()
  })
})

describe('an earlier build', () => {
  let place: string
  const sha256 = createHash('sha256').update('result').digest('hex')
  const record = (change = {}) =>
    JSON.stringify({
      ...inputs,
      ...{ format: 1, tool: { name: 'tsnspawn-build', version: ownVersion() } },
      ...{ result: 'succeeded', outputs: [{ name: 'out', sizeBytes: 6, sha256 }], ...change },
    })
  const find = () => findUnchanged(place, inputs, undefined)
  beforeEach(async () => {
    place = await mkdtemp(join(tmpdir(), 'unchanged-'))
    await writeFile(join(place, 'out'), 'result')
  })
  afterEach(() => rm(place, { recursive: true }))

  test('is found with its results', async () => {
    await writeFile(join(place, 'build.json'), record())
    expect((await find())?.outputs).toMatchObject([{ name: 'out' }])
  })

  test('is none when a result is gone or another, it has failed, or another program has made it', async () => {
    expect(await find()).toBeUndefined()
    for (const change of [{ result: 'failed' }, { tool: { name: 'x', version: '0' } }]) {
      await writeFile(join(place, 'build.json'), record(change))
      expect(await find()).toBeUndefined()
    }
    await writeFile(join(place, 'build.json'), record())
    await writeFile(join(place, 'out'), 'changed')
    expect(await find()).toBeUndefined()
    await rm(join(place, 'out'))
    expect(await find()).toBeUndefined()
    await writeFile(join(place, 'build.json'), '{')
    expect(await find()).toBeUndefined()
  })
})
