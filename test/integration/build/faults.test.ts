/**
 * Builds that are ended in the middle, at each of their steps: by Ctrl-C (every process of the terminal
 * gets it), by SIGTERM and by SIGKILL to the program alone. In a room of its own, so that every mount and
 * every lock file that is seen is of these builds.
 */
import { execa } from 'execa'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { isOwnerAlive, parseOwner, type Owner } from '../../../src/owner.ts'
import { binaryArchive, debianArchitecture } from '../../fixtures/binary-archive.ts'
import { debianBuildTree } from '../../fixtures/debian-tree.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { Room } from '../../fixtures/room.ts'
import { makeSigner } from '../../fixtures/signing.ts'
import { makeSourcePackage } from '../../fixtures/source-package.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder, type WebServer } from '../../fixtures/web-server.ts'

/** In the environment or the command line of every process of a build. */
const mark = `86390.${process.pid}`

interface Event {
  readonly kind: string
  readonly text?: string
  readonly line?: string
  readonly phase?: string
  readonly state?: string
  readonly error?: { readonly message: string; readonly code: string }
}

interface Step {
  readonly source: 'quick' | 'slow' | 'waiting' | 'big' | 'remote'
  readonly options?: readonly string[]
  /** What is seen when the build is in the step: an event, or a request that is never answered. */
  readonly seen: ((event: Event) => boolean) | RegExp
}

const steps: Readonly<Record<string, Step>> = {
  'fetches the source': { source: 'remote', seen: /tiny_1\.0\.tar/ },
  'checks the source': { source: 'quick', seen: ({ text }) => /checksums vouch/.test(text ?? '') },
  'reads the package index': { source: 'quick', options: ['--no-layers'], seen: /Packages$/ },
  'installs dependencies': { source: 'slow', seen: ({ line }) => line === 'slow is installed' },
  'unpacks the source': { source: 'quick', seen: ({ text }) => text === 'unpack the source' },
  'starts a container': { source: 'waiting', seen: ({ text }) => text === 'build the packages' },
  'builds the packages': { source: 'waiting', seen: ({ line }) => line === 'the build runs' },
  'collects results': {
    source: 'big',
    seen: ({ phase, state }) => phase === 'collect' && state === 'start',
  },
  'hands out results': {
    source: 'big',
    seen: ({ phase, state }) => phase === 'collect' && state === 'end',
  },
}

describe.skipIf(lacks(...buildNeeds))('a build that is ended while it', { timeout: 60_000 }, () => {
  let work: TemporaryDirectory
  let room: Room
  let server: WebServer
  const sources: Record<string, string> = {}
  let before: ReadonlySet<string>
  let unanswered: RegExp | undefined
  let asked = () => {}

  const place = (name: string) => join(work.path, name)

  beforeAll(async () => {
    work = await temporaryDirectory()
    await mkdir(place('machines'))
    room = await Room.open(place('machines'))
    // Hard links: what differs is put in place of a file, never written into it.
    await execa('cp', ['-al', await debianBuildTree(), place('machines/base')])
    const signer = await makeSigner(work.path, 'archive')
    const wait = [`exec sleep ${mark}`]
    const slow = { name: 'slow', postinst: ['echo slow is installed', ...wait] }
    const fixtures = {
      quick: {},
      slow: { buildDepends: 'slow' },
      waiting: { build: ['echo the build runs', ...wait] },
      big: { build: ['truncate -s 48M ../big.bin', 'dpkg-distaddfile big.bin misc optional'] },
    }
    for (const [name, fixture] of Object.entries(fixtures)) {
      await mkdir(place(name))
      sources[name] = await makeSourcePackage(place(name), fixture)
    }
    const files: Record<string, Buffer | string> = await binaryArchive(work.path, slow, signer)
    for (const name of readdirSync(place('quick')).filter((one) => one.startsWith('tiny_')))
      files[`/source/${name}`] = readFileSync(place(`quick/${name}`))
    const answer: Responder = ({ url = '' }, response) => {
      if (unanswered?.test(url) === true) asked()
      else response.end(files[url])
    }
    server = await serve(Object.fromEntries(Object.keys(files).map((path) => [path, answer])))
    sources['remote'] = `${server.origin}/source/tiny_1.0.dsc`
    const etc = place('machines/base/etc/apt')
    await rm(etc, { recursive: true })
    await mkdir(join(etc, 'sources.list.d'), { recursive: true })
    for (const name of ['apt.conf.d', 'preferences.d', 'trusted.gpg.d'])
      await mkdir(join(etc, name))
    await writeFile(join(etc, 'archive.gpg'), readFileSync(signer.keyring))
    const line = `deb [signed-by=/etc/apt/archive.gpg] ${server.origin}/debian stable main\n`
    await writeFile(join(etc, 'sources.list'), line)
    await finish()
    before = new Set(things())
  }, 600_000)

  afterAll(async () => {
    for (const { pid } of survivors()) process.kill(pid, 'SIGKILL')
    await room?.[Symbol.asyncDispose]()
    await server?.[Symbol.asyncDispose]()
    await work?.[Symbol.asyncDispose]()
  })

  beforeEach(() => rm(place('out'), { recursive: true, force: true }))

  function start(source: Step['source'], options: readonly string[] = []) {
    const [program, ...args] = room.inside(
      tsnspawnBuild(
        ...['--state-dir', place('state'), '--json', 'build', 'base', sources[source] as string],
        ...['--output', place('out'), ...options],
      ),
    )
    const env = { TSNSPAWN_TEST_MARK: mark }
    return execa(program, args, { reject: false, stdin: 'ignore', env, detached: true })
  }

  /** Ends a build as soon as it is in the step; returns how it ended and what it said. */
  async function endIn({ source, options, seen }: Step, end: (pid: number) => void) {
    const child = start(source, options)
    const events: Event[] = []
    let ended = false
    const now = () => {
      if (!ended) end(child.pid as number)
      ended = true
    }
    unanswered = seen instanceof RegExp ? seen : undefined
    asked = now
    for await (const line of child) {
      const event = JSON.parse(line) as Event
      events.push(event)
      if (typeof seen === 'function' && seen(event)) now()
    }
    const result = await child
    unanswered = undefined
    expect({ ended, stderr: result.stderr }).toEqual({ ended: true, stderr: '' })
    return { result, errors: events.flatMap(({ error }) => error ?? []) }
  }

  /** A build to its end, which takes away what others left. */
  async function finish(): Promise<void> {
    const result = await start('quick')
    expect(result.exitCode, result.stdout).toBe(0)
  }

  /** What nobody released since the first build: others' mounts may vanish from the room meanwhile. */
  function leftOvers(): readonly string[] {
    return things().filter((line) => !before.has(line))
  }

  /** Mounts, locks and id ranges of the room, unfinished directories and files, control groups. */
  function things(): readonly string[] {
    const mounts = readFileSync(`${room.proc}/mountinfo`, 'utf8')
      .split('\n')
      .map((line) => `mount ${line.split(' ')[4]}`)
    const files = (directory: string) =>
      existsSync(directory)
        ? readdirSync(directory, { recursive: true, withFileTypes: true })
            .filter((entry) => !entry.isDirectory())
            .map(({ parentPath, name }) => join(parentPath, name))
        : []
    const names = (directory: string) =>
      existsSync(directory) ? readdirSync(directory).map((name) => join(directory, name)) : []
    return [
      ...mounts,
      ...files(`${room.proc}/root/run`),
      ...names(place('machines')),
      ...names(place('state')),
      ...names(place('state/builds')),
      ...names(place('state/layers')),
      ...abandonedGroups(),
    ]
  }

  /** Control groups of builds whose owner, which their names tell, is gone. */
  function abandonedGroups(): string[] {
    // Other runs' groups vanish meanwhile, which find only remarks on.
    return spawnSync('find', ['/sys/fs/cgroup', '-type', 'd'], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((path) => {
        const owner = /\/tsnspawn-build-[^/]*\.(\d+-\d+)\.scope$/.exec(path)?.[1]
        return owner !== undefined && !isOwnerAlive(parseOwner(owner) as Owner)
      })
  }

  const survivors = () => processesNaming(mark, 'counts')

  describe.each(Object.entries(steps))('%s', (_name, step) => {
    test.each([
      ['Ctrl-C', 130, (pid: number) => process.kill(-pid, 'SIGINT')],
      ['SIGTERM', 143, (pid: number) => process.kill(pid, 'SIGTERM')],
    ])('says so once at %s, with status %i, and leaves nothing', async (_how, status, end) => {
      const { result, errors } = await endIn(step, end)
      expect(errors).toMatchObject([
        { code: 'CANCELED', message: 'interrupted, nothing half-made is left' },
      ])
      expect(result.exitCode).toBe(status)
      expect(survivors()).toEqual([])
      expect(existsSync(place('out'))).toBe(false)
      expect(leftOvers()).toEqual([])
    })

    test('by kill -9 takes its container along, and the next one removes the rest', async () => {
      await endIn(step, (pid) => process.kill(pid, 'SIGKILL'))
      await expect.poll(survivors).toEqual([])
      expect(leftOvers()).not.toEqual([])
      await finish()
      expect(leftOvers()).toEqual([])
      const architecture = await debianArchitecture()
      const results = ['buildinfo', 'changes', 'deb'].map(
        (end) => `tiny_1.0_${architecture}.${end}`,
      )
      expect(readdirSync(place('out'))).toEqual([
        ...['build-steps', 'build.json', 'build.log', 'build.provenance.json'],
        ...results,
      ])
    })
  })
})
