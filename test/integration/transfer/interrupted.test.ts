/** Imports and exports that are ended on the way: nothing half-made is to be seen, and the next run leaves nothing of it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { noise } from '../../fixtures/noise.ts'
import { lacks } from '../../fixtures/requires.ts'
import { buildProgram, type BuildProgram, type Running } from './build-program.ts'

const MiB = 1 << 20

async function until(running: Running, happened: () => boolean): Promise<void> {
  while (!happened()) {
    if (running.exitCode !== null)
      throw new Error(`it ended too early: ${String((await running).stderr)}`)
    await sleep(5)
  }
}

/** Whether something is being written below the machines directory, and has got that far. */
function writes(build: BuildProgram, bytes: number): () => boolean {
  return () => {
    const out = execFileSync('du', ['-s', '--block-size=1', '--apparent-size', build.machines], {
      encoding: 'utf8',
    })
    return Number(out.split('\t')[0]) > bytes + 20_000
  }
}

const visible = (names: readonly string[]) => names.filter((name) => !name.startsWith('.#'))

/** What an import reads: it never ends by itself. */
interface Feed {
  readonly verb: 'import-raw' | 'import-tar'
  readonly head: () => Buffer
}

const feeds: readonly (readonly [string, Feed])[] = [
  ['a disk of which nothing has come', { verb: 'import-raw', head: () => Buffer.alloc(0) }],
  ['a disk in full swing', { verb: 'import-raw', head: () => noise(8 * MiB) }],
  ['a compressed disk', { verb: 'import-raw', head: () => packed('gzip -1', noise(8 * MiB)) }],
  ['an archive', { verb: 'import-tar', head: archive }],
  ['a compressed archive', { verb: 'import-tar', head: () => packed('xz -0', archive()) }],
]

/** The begin of a compressed stream. */
function packed(program: string, data: Buffer): Buffer {
  const whole = execFileSync('sh', ['-c', program], { input: data, maxBuffer: 1 << 28 })
  return whole.subarray(0, -1000)
}

/** Of a tree with a few files, the last one not whole. */
function archive(): Buffer {
  const list = 'etc/passwd etc/hosts etc/hostname etc/services usr/bin/perl'
  const whole = execFileSync('sh', ['-c', `tar -C / -chf - ${list}`], { maxBuffer: 1 << 28 })
  return whole.subarray(0, -1_000_000)
}

/** In an array, since a promise of the program would wait for its end. */
async function begin(build: BuildProgram, { verb, head }: Feed): Promise<[Running]> {
  const running = build.start([verb, '-', 'victim'], { stdin: 'pipe' })
  const data = head()
  running.stdin?.on('error', () => {})
  running.stdin?.write(data)
  await until(running, () => build.entries().length > 0)
  if (data.length > 0) await until(running, writes(build, 100_000))
  return [running]
}

describe.skipIf(lacks('root', 'program:xz'))('an import that is ended', () => {
  it.each(feeds)('by Ctrl-C while it reads %s leaves nothing', async (_, feed) => {
    await using build = await buildProgram()
    const [running] = await begin(build, feed)
    running.kill('SIGINT')
    const { exitCode, stderr } = await running
    expect(stderr).toMatch(/interrupted, nothing half-made is left/)
    expect(exitCode).toBe(130)
    expect(build.entries()).toEqual([])
    expect(readdirSync(join(build.path, 'run/transfers'))).toEqual([])
  })

  it.each(feeds)(
    'by kill -9 while it reads %s leaves what the next one removes',
    async (_, feed) => {
      await using build = await buildProgram()
      const [running] = await begin(build, feed)
      running.kill('SIGKILL')
      await running
      expect(visible(build.entries())).toEqual([])
      const small = join(build.path, 'small')
      writeFileSync(small, 'disk')
      expect(await build.run(['import-raw', small, 'victim'])).toMatchObject({ status: 0 })
      expect(build.entries()).toEqual(['victim.raw'])
    },
  )

  it.each([
    ['SIGINT', []],
    ['SIGKILL', ['again']],
  ] as const)('by %s while it copies a directory leaves nothing', async (signal, after) => {
    await using build = await buildProgram()
    const running = build.start(['import-fs', await debianTree(), 'victim'])
    await until(running, writes(build, MiB))
    running.kill(signal)
    await running
    expect(visible(build.entries())).toEqual([])
    for (const name of after) {
      const tree = join(build.path, 'tree')
      mkdirSync(tree)
      expect(await build.run(['import-fs', tree, name])).toMatchObject({ status: 0 })
    }
    expect(build.entries()).toEqual(after)
  })

  it('keeps the image that it would have replaced', async () => {
    await using build = await buildProgram()
    const old = join(build.machines, 'victim.raw')
    writeFileSync(old, 'old')
    const running = build.start(['import-raw', '--force', '-', 'victim'], { stdin: 'pipe' })
    running.stdin?.on('error', () => {})
    running.stdin?.write(noise(MiB))
    await until(running, writes(build, MiB / 2))
    running.kill('SIGKILL')
    await running
    expect(readFileSync(old, 'utf8')).toBe('old')
    expect(visible(build.entries())).toEqual(['victim.raw'])
  })

  it('by cancel-transfer leaves nothing, and says so', async () => {
    await using build = await buildProgram()
    const [running] = await begin(build, { verb: 'import-raw', head: () => noise(MiB) })
    const { stdout } = await build.run(['list-transfers', '--no-legend'])
    expect(stdout).toMatch(/^ *1 +n\/a import-raw victim standard input$/)
    expect(await build.run(['cancel-transfer', '1'])).toMatchObject({ status: 0 })
    const { exitCode, stderr } = await running
    expect(stderr).toMatch(/transfer 1 was canceled/)
    expect(exitCode).not.toBe(0)
    expect(build.entries()).toEqual([])
  })
})

/** An export that takes its time, and has begun to write. */
async function beginExport(build: BuildProgram, out: string): Promise<[Running]> {
  mkdirSync(join(build.machines, 'victim/etc'), { recursive: true })
  writeFileSync(join(build.machines, 'victim/etc/os-release'), 'ID=test\n')
  writeFileSync(join(build.machines, 'victim/large'), noise(24 * MiB))
  const running = build.start(['export-tar', 'victim', join(out, 'victim.tar.gz')])
  const hidden = () => readdirSync(out).find((name) => name.startsWith('.#machine.'))
  await until(running, () => {
    const name = hidden()
    return name !== undefined && statSync(join(out, name)).size > 0
  })
  return [running]
}

describe.skipIf(lacks('root', 'program:xz'))('an export that is ended', () => {
  it('by Ctrl-C leaves nothing', async () => {
    await using build = await buildProgram()
    const out = join(build.path, 'out')
    mkdirSync(out)
    const [running] = await beginExport(build, out)
    running.kill('SIGINT')
    const { exitCode, stderr } = await running
    expect(stderr).toMatch(/interrupted, nothing half-made is left/)
    expect(exitCode).toBe(130)
    expect(readdirSync(out)).toEqual([])
  })

  it('by cancel-transfer leaves nothing, even where it has to be killed', async () => {
    await using build = await buildProgram()
    const out = join(build.path, 'out')
    mkdirSync(out)
    const [running] = await beginExport(build, out)
    running.kill('SIGSTOP')
    expect(await build.run(['cancel-transfer', '1'])).toMatchObject({ status: 0 })
    expect((await running).signal).toBe('SIGKILL')
    expect(readdirSync(out)).toEqual([])
    expect(visible(build.entries())).toEqual(['victim'])
    expect(build.entries().filter((name) => name.includes('machine'))).toEqual([])
  })

  it('by kill -9 leaves the old file, and what the next one removes', async () => {
    await using build = await buildProgram()
    const out = join(build.path, 'out')
    mkdirSync(out)
    writeFileSync(join(out, 'victim.tar.gz'), 'old')
    const [running] = await beginExport(build, out)
    running.kill('SIGKILL')
    await running
    expect(readFileSync(join(out, 'victim.tar.gz'), 'utf8')).toBe('old')
    expect(visible(readdirSync(out))).toEqual(['victim.tar.gz'])
    const again = build.run(['export-tar', 'victim', join(out, 'victim.tar.gz')])
    expect(await again).toMatchObject({ status: 0 })
    expect(readdirSync(out)).toEqual(['victim.tar.gz'])
    execFileSync('gzip', ['-t'], { input: readFileSync(join(out, 'victim.tar.gz')) })
  })
})
