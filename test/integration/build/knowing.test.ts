/** What is known of builds while they go on and afterwards: history, logs, layers, provenance, and how it goes again. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildCommand, type CommandBuild } from '../../../src/build/command/driver.ts'
import { listBuilds, logOf, readRecord } from '../../../src/build/history.ts'
import type { ProvenanceStatement } from '../../../src/build/provenance.ts'
import type { BuildRecord } from '../../../src/build/record.ts'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

describe.skipIf(lacks(...buildNeeds))('of builds', () => {
  let work: Awaited<ReturnType<typeof temporaryDirectory>>
  let state: string
  let record: BuildRecord

  function request(name: string, lines: string, change: Partial<CommandBuild> = {}): CommandBuild {
    return {
      tree,
      source: join(work.path, name),
      outputDirectory: join(work.path, `out-${name}`),
      stateDirectory: state,
      options: {
        jobs: 1,
        network: 'none',
        environment: {},
        command: ['/bin/sh', '-ec', lines],
        packages: [],
        collect: ['*.out'],
      },
      ...change,
    }
  }

  /** `tsnspawn-build` with directories of its own. */
  const program = async (...words: string[]) => {
    const [file, ...args] = tsnspawnBuild(
      ...['--state-dir', state, '--machines-dir', join(work.path, 'machines'), ...words],
    )
    return execa(file, args, { reject: false, cwd: work.path })
  }

  let tree: string
  beforeAll(async () => {
    work = await temporaryDirectory()
    state = join(work.path, 'state')
    tree = await debianTree()
    for (const name of ['fine', 'bad', 'long', 'machines']) await mkdir(join(work.path, name))
    const fine = await buildCommand(request('fine', 'echo fine to you; echo 1 > a.out'))
    record = fine.record
    await buildCommand(request('bad', 'echo so bad; exit 3')).catch(() => undefined)
    const giveUp = new AbortController()
    const long = request('long', 'echo begun; sleep 1000', {
      signal: giveUp.signal,
      log: (event) => {
        if (event.kind === 'output' && event.line === 'begun') giveUp.abort()
      },
    })
    await buildCommand(long).catch(() => undefined)
  })
  afterAll(async () => work[Symbol.asyncDispose]())

  test('log and record are remembered, however they ended', async () => {
    const builds = await listBuilds(state)
    const ends = builds.map(({ name, state: end }) => `${name} ${end}`)
    expect(ends).toEqual(['fine succeeded', 'bad failed', 'long canceled'])
    const [, bad, long] = builds
    expect(await readRecord(bad!)).toMatchObject({ failure: { code: 'BUILD_FAILED' } })
    expect(await readRecord(long!)).toMatchObject({ result: 'canceled', driver: 'command' })
    expect(await readFile(logOf(long!), 'utf8')).toContain('begun\n')
    await expect(readdir(join(work.path, 'out-long'))).rejects.toThrow('ENOENT')
  })

  test('the record says what each step took, and where in the log it speaks', async () => {
    const [step] = record.steps
    expect(step).toMatchObject({
      id: 'build',
      status: 0,
      log: { name: 'build-steps/01-build.log' },
    })
    const { largestProcessBytes = 0, userSeconds = -1, systemSeconds = -1 } = step?.usage ?? {}
    expect(largestProcessBytes).toBeGreaterThan(500_000)
    expect(userSeconds + systemSeconds).toBeGreaterThan(0)
    expect(step?.atSeconds).toBeGreaterThanOrEqual(record.phases.at(-2)?.atSeconds ?? Infinity)
    const output = join(work.path, 'out-fine')
    const log = await readFile(join(output, 'build-steps/01-build.log'), 'utf8')
    expect(log).toContain('\nfine to you\n-- exit status 0')
    expect(log).not.toContain('collect results')
    expect(await readFile(join(output, 'build.log'), 'utf8')).toContain(log)
  })

  test('logs of steps that an earlier build had are not left among those of the next', async () => {
    const steps = join(work.path, 'out-fine/build-steps')
    for (const name of ['07-gone.log', 'mine.txt']) await writeFile(join(steps, name), 'x')
    await buildCommand(request('fine', 'echo 1 > a.out'))
    expect(await readdir(steps)).toEqual(['01-build.log', 'mine.txt'])
  })

  test('the provenance names results and log with digests that are theirs', async () => {
    const output = join(work.path, 'out-fine')
    const text = await readFile(join(output, 'build.provenance.json'), 'utf8')
    const { subject, predicate } = JSON.parse(text) as ProvenanceStatement
    const files = [...subject, ...predicate.runDetails.byproducts]
    expect(files.map(({ name }) => name)).toEqual(['a.out', 'build.log', 'build.json'])
    for (const { name = '', digest } of files) {
      const content = await readFile(join(output, name))
      expect(digest).toEqual({ sha256: createHash('sha256').update(content).digest('hex') })
    }
  })

  test('"builds" lists them, the latest first', async () => {
    const all = await program('builds', '--no-legend')
    expect(all.stdout.split('\n').map((line) => line.split(/ +/)[1])).toEqual(
      expect.arrayContaining(['long', 'bad', 'fine']),
    )
    const failed = await program('builds', '--failed', '-o', 'json')
    const rows = JSON.parse(failed.stdout) as readonly { name: string; step: string | null }[]
    expect(rows).toMatchObject([
      { name: 'long', state: 'canceled' },
      { name: 'bad', state: 'failed', step: 'build' },
    ])
  })

  test('"log" prints the whole, or what one step has said', async () => {
    const whole = await program('log', 'bad')
    expect(whole.stdout).toContain('== fetch the source')
    const step = await program('log', 'bad', '--step', 'build')
    expect(step.stdout).toContain('so bad')
    expect(step.stdout).not.toContain('fetch the source')
    const wrong = await program('log', 'bad', '--step', 'nothing')
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining('there are: build')])
    const none = await program('log', 'nobody')
    expect([none.exitCode, none.stderr]).toEqual([2, expect.stringContaining('no build nobody')])
  })

  test('what runs can be followed and entered, and ends as it would have', async () => {
    let tell = () => {}
    const begun = new Promise<void>((resolve) => {
      tell = resolve
    })
    const wait = 'echo waiting; while ! test -e /tmp/go; do sleep 0.05; done; echo gone; exit 4'
    const ended = buildCommand(
      request('bad', wait, {
        log: (event) => {
          if (event.kind === 'output' && event.line === 'waiting') tell()
        },
      }),
    ).catch((error: unknown) => error)
    await begun
    const running = await program('builds', '--running', '--no-legend')
    expect(running.stdout).toMatch(/^\S+ +bad +- +command running /)
    const { machine = '' } = (await listBuilds(state)).at(-1) ?? {}
    expect(machine).toMatch(/^build-/)
    expect((await program('list')).stdout).not.toContain(machine)
    const following = program('attach', 'bad')
    const entered = await program(
      'attach',
      'bad',
      '--shell',
      '--',
      'sh',
      '-c',
      'pwd; id -u; ls /build',
    )
    expect(entered).toMatchObject({ exitCode: 0, stdout: '/root\n0\nhome\nsource' })
    await program('attach', 'bad', '--shell', '--uid=builder', '--', 'touch', '/tmp/go')
    expect(await ended).toMatchObject({ code: 'BUILD_FAILED', status: 4 })
    const { stdout, exitCode } = await following
    expect(stdout).toContain('\nwaiting\ngone\n')
    expect(exitCode).toBe(1)
    const late = await program('attach', 'bad', '--shell')
    expect([late.exitCode, late.stderr]).toEqual([
      2,
      expect.stringContaining('runs in no container'),
    ])
    expect((await program('attach', 'bad', '--lines=2')).stdout.split('\n')).toHaveLength(2)
  })

  test('a shell before the command sees what it will see', async () => {
    const [file, ...args] = tsnspawnBuild(
      '--state-dir',
      state,
      'build',
      tree,
      'fine',
      '-o',
      'before',
    )
    const words = ['--shell-before', '-c', 'a.out', '--', 'sh', '-c', 'cat made > a.out']
    const input = 'id -un; pwd; echo by hand > made; exit\n'
    const { stdout } = await execa(file, [...args, ...words], { input, cwd: work.path })
    expect(stdout).toContain('builder\n/build/source\n')
    expect(await readFile(join(work.path, 'before/a.out'), 'utf8')).toBe('by hand\n')
  })

  test('a plan says what would be done, and nothing is', async () => {
    const words = ['fine', '-o', 'planned', '-p', 'hello', '--dry-run', '--', 'make', 'all']
    const { stdout } = await program('build', tree, ...words)
    expect(stdout).toMatch(/^toolchain would be made [0-9a-f]{12}$/m)
    expect(stdout).toMatch(/^dependencies install +root +host +apt-get /m)
    expect(stdout).toMatch(/^build +build +builder +loopback +make all$/m)
    expect(await readdir(work.path)).not.toContain('planned')
    expect((await readdir(join(state, 'layers'))).filter((name) => !name.startsWith('.'))).toEqual(
      [],
    )
    const json = await program('--json', 'build', tree, ...words)
    const { value } = JSON.parse(json.stdout.trim().split('\n').at(-1) ?? '') as { value: object }
    expect(value).toMatchObject({ driver: 'command', layers: [{ origin: 'made' }] })
  })

  test('a report of history and directories links logs that are there', async () => {
    const page = join(work.path, 'page.html')
    const words = ['fine', 'long', './out-bad', '-o', page]
    expect((await program('report', ...words)).stdout).toBe(`${page}: 3 builds`)
    const html = await readFile(page, 'utf8')
    expect(html).toContain('<h1>1 of 3 builds succeeded</h1>')
    const links = [...html.matchAll(/href="([^"#]+)"/g)].map(([, href = '']) => href)
    expect(links).toContain('out-bad/build-steps/01-build.log')
    for (const href of links)
      expect((await readFile(join(work.path, decodeURIComponent(href)))).length).toBeGreaterThan(0)
    const none = await program('report', './fine')
    expect([none.exitCode, none.stderr]).toEqual([2, expect.stringContaining('build.json')])
  })

  test('layers, history and caches go when they are told to, and not before', async () => {
    await using other = await temporaryDirectory()
    const key = 'a'.repeat(40)
    const layer = join(other.path, 'layers', key)
    await mkdir(join(layer, 'upper'), { recursive: true })
    const note = {
      key,
      sizeBytes: 4096,
      databasePaths: [],
      database: '',
      about: { kind: 'x', tree },
    }
    await writeFile(join(layer, 'layer.json'), JSON.stringify(note))
    const cached = join(other.path, 'cache/sources')
    await mkdir(cached, { recursive: true })
    await writeFile(join(cached, 'answer'), 'x')
    await utimes(join(cached, 'answer'), 1e9, 1e9)
    await buildCommand(request('fine', 'echo 1 > a.out', { stateDirectory: other.path }))
    const clean = async (...words: string[]) =>
      program('--state-dir', other.path, 'clean', ...words)
    const listed = await program('--state-dir', other.path, 'layers')
    expect(listed.stdout).toContain(`${key.slice(0, 12)} x     4.0K`)

    expect((await clean()).stderr).toBe('Dropped cached files of builds: 1 (4.0K).')
    const preview = await clean('--older-than', '0', '--dry-run')
    expect(preview.stderr).toContain(`Would drop layer ${key} (4.0K)`)
    expect(preview.stderr).toContain('Would drop log and record of build')
    expect(await listBuilds(other.path)).toHaveLength(1)
    await clean('--older-than', '0')
    expect(await listBuilds(other.path)).toEqual([])
    expect(await readdir(join(other.path, 'layers'))).toEqual([])
  })
})
