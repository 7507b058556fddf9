/** The same tree made again is a copy of the one before, and never of anything else. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import type { LogEvent } from '../../../src/log.ts'
import { aptArchive, buildDeb, type Deb } from '../../fixtures/apt-archive.ts'
import { debianArchitecture } from '../../fixtures/binary-archive.ts'
import { lacks } from '../../fixtures/requires.ts'
import { makeSigner, type Signer } from '../../fixtures/signing.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyBase } from '../../fixtures/tiny-debian.ts'
import { serve, type WebServer } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dpkg-deb')

let scratch: TemporaryDirectory
let signer: Signer
let debs: Deb[]
let newer: Deb
let architecture: string

beforeAll(async () => {
  if (missing) return
  scratch = await temporaryDirectory()
  architecture = await debianArchitecture()
  signer = await makeSigner(scratch.path, 'archive')
  debs = [
    await tinyBase(scratch.path, architecture),
    await buildDeb(scratch.path, { name: 'tool', fields: { Priority: 'required' } }),
  ]
  newer = await buildDeb(scratch.path, {
    name: 'tool',
    version: '2.0',
    fields: { Priority: 'required' },
  })
})

afterAll(async () => {
  await scratch?.[Symbol.asyncDispose]()
})

afterEach(() => void vi.restoreAllMocks())

async function archive(packages: readonly Deb[]): Promise<WebServer> {
  return serve(await aptArchive(packages, signer, { suite: 'trixie', architecture }))
}

interface Made {
  readonly version: string
  readonly copied: boolean
}

async function create(
  directory: string,
  mirror: string,
  request: Partial<TreeRequest> & { cache?: 'on' | 'off' },
): Promise<Made> {
  const { cache, ...rest } = request
  const full = {
    recipe: 'debian',
    via: 'embedded',
    updates: 'none',
    mirror,
    keyring: signer.keyring,
    ...rest,
  } as const
  const events: LogEvent[] = []
  const tree = await createTree(await planCreate(full, directory), {
    machinesDirectory: directory,
    stateDirectory: join(directory, '..', 'state'),
    log: (event) => void events.push(event),
    cache,
  })
  const status = await readFile(join(tree.path, 'var/lib/dpkg/status'), 'utf8')
  return {
    version: /^Package: tool\n(?:.+\n)*?Version: (.*)$/m.exec(status)![1]!,
    copied: events.some(({ kind }) => kind === 'notice'),
  }
}

async function room(directory: TemporaryDirectory): Promise<string> {
  const path = join(directory.path, 'machines')
  await mkdir(path)
  return path
}

describe.skipIf(missing)('a tree that is made again', () => {
  test('is a copy of its own: finished under its name, and nobody else’s changes are in it', async () => {
    await using directory = await temporaryDirectory()
    await using server = await archive(debs)
    const machines = await room(directory)
    const mirror = `${server.origin}/debian`
    expect(await create(machines, mirror, { name: 'a' })).toEqual({ version: '1.0', copied: false })
    await writeFile(join(machines, 'a/etc/changed'), 'by a user')
    const again = { name: 'b', rootPassword: { kind: 'empty' } } as const
    expect(await create(machines, mirror, again)).toEqual({ version: '1.0', copied: true })
    expect(await readdir(join(machines, 'b/etc'))).not.toContain('changed')
    expect((await readdir(machines)).filter((name) => !name.startsWith('.'))).toEqual(['a', 'b'])
  })

  test('is made anew when the archive has changed', async () => {
    await using directory = await temporaryDirectory()
    const machines = await room(directory)
    const suite = { suite: 'trixie', architecture }
    const routes = await aptArchive(debs, signer, suite)
    await using server = await serve(routes)
    const mirror = `${server.origin}/debian`
    await create(machines, mirror, { name: 'a' })
    Object.assign(routes, await aptArchive([debs[0]!, newer], signer, suite))
    expect(await create(machines, mirror, { name: 'b' })).toEqual({ version: '2.0', copied: false })
  })

  test('is made anew for other packages, another key, or when that is asked for', async () => {
    await using directory = await temporaryDirectory()
    await using server = await archive(debs)
    const machines = await room(directory)
    const mirror = `${server.origin}/debian`
    const made = async (name: string, request: Parameters<typeof create>[2]) =>
      (await create(machines, mirror, { name, ...request })).copied
    const keyring = join(directory.path, 'other.gpg')
    await writeFile(keyring, await readFile(signer.keyring))
    expect(await made('a', { cache: 'off' })).toBe(false)
    expect(await made('b', { keyring })).toBe(false)
    expect(await made('c', { keyring })).toBe(true)
    expect(await made('d', { keyring, exclude: ['tool-doc'] })).toBe(false)
    expect(await made('e', { keyring, cache: 'off' })).toBe(false)
    expect((await readdir(machines)).filter((name) => name.startsWith('.tree-'))).toHaveLength(2)
  })

  test('is made anew after a week, and the old copy goes', async () => {
    await using directory = await temporaryDirectory()
    await using server = await archive(debs)
    const machines = await room(directory)
    const mirror = `${server.origin}/debian`
    await create(machines, mirror, { name: 'a', exclude: ['tool-doc'] })
    await create(machines, mirror, { name: 'b' })
    const week = 7 * 24 * 3600 * 1000
    const real = Date.now
    vi.spyOn(Date, 'now').mockImplementation(() => real() + week + 1000)
    expect((await create(machines, mirror, { name: 'c' })).copied).toBe(false)
    const kept = (await readdir(machines)).filter((name) => name.startsWith('.tree-'))
    // Its own was replaced; to this clock that one is old as well, and the next will take both away.
    expect(kept.length).toBeLessThanOrEqual(1)
  })
})
