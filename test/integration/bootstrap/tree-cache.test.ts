/** The same tree made again is a copy of the one before, and never of anything else. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createTree, planCreate } from '../../../src/bootstrap/create.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { loadRecipe } from '../../../src/bootstrap/recipes.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { toolsTreePath } from '../../../src/bootstrap/tools-tree.ts'
import { openTreeCache } from '../../../src/bootstrap/tree-cache.ts'
import { silent, type LogEvent } from '../../../src/log.ts'
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
    copied: events.some((event) => event.kind === 'notice' && event.text.includes('made before')),
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

  test('is not taken when the archive no longer vouches for its index, unless that is accepted', async () => {
    await using directory = await temporaryDirectory()
    const machines = await room(directory)
    const days = 24 * 3600 * 1000
    const until = new Date(Date.now() + 2 * days).toUTCString()
    const release = [`Valid-Until: ${until}`]
    const options = { suite: 'trixie', architecture, release }
    await using server = await serve(await aptArchive(debs, signer, options))
    const mirror = `${server.origin}/debian`
    const accepted = { outdated: 'accepted' } as const
    await create(machines, mirror, { name: 'a' })
    await create(machines, mirror, { name: 'b', ...accepted })
    const real = Date.now
    vi.spyOn(Date, 'now').mockImplementation(() => real() + 3 * days)
    await expect(create(machines, mirror, { name: 'c' })).rejects.toMatchObject({
      code: 'BOOTSTRAP_MIRROR',
    })
    expect((await create(machines, mirror, { name: 'd', ...accepted })).copied).toBe(true)
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

describe.skipIf(lacks('root'))('a tree whose keys lie in a tree of tools', () => {
  test('is taken while those keys are the same', async () => {
    await using directory = await temporaryDirectory()
    const machines = await room(directory)
    const index = join(directory.path, 'mirror/core/os/x86_64')
    await mkdir(index, { recursive: true })
    await writeFile(join(index, 'core.db'), 'an index')
    await mkdir(join(directory.path, 'mirror/extra/os/x86_64'), { recursive: true })
    await writeFile(join(directory.path, 'mirror/extra/os/x86_64/extra.db'), 'another')
    const request = { recipe: 'arch', name: 'a', mirror: join(directory.path, 'mirror') }
    const plan = await planCreate({ ...request, via: 'tools:pacman' }, machines)
    const strategy = strategiesOf(await loadRecipe('arch')).find(({ id }) => id === plan.strategy)!
    const context = {
      machinesDirectory: machines,
      stateDirectory: join(directory.path, 'state'),
      log: silent,
    }
    const made = join(directory.path, 'made')
    await mkdir(join(made, 'usr'), { recursive: true })
    const target = join(directory.path, 'target')
    const take = async () => {
      await rm(target, { recursive: true, force: true })
      await mkdir(target)
      return (await openTreeCache(plan, strategy, context))!.take(target)
    }
    const tools = toolsTreePath(machines, strategy.toolPackages!)
    const keyrings = join(tools, 'usr/share/keyrings')
    const cache = (await openTreeCache(plan, strategy, context))!
    expect(await cache.take(target)).toBe(false)
    // As if it had been made by the way.
    await mkdir(keyrings, { recursive: true })
    await writeFile(join(keyrings, 'archlinux.gpg'), 'keys')
    await cache.keep(made)
    expect(await take()).toBe(true)
    await writeFile(join(keyrings, 'archlinux-revoked'), 'one of them')
    expect(await take()).toBe(false)
    await rm(join(keyrings, 'archlinux-revoked'))
    expect(await take()).toBe(true)
    await writeFile(join(keyrings, 'archlinux.gpg'), 'other keys')
    expect(await take()).toBe(false)
  })
})
