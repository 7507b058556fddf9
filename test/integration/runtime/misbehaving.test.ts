/** Payloads that do what they should not, and what becomes of them. */
import { execa } from 'execa'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { debianTree } from '../../fixtures/debian-tree.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { borrowDebianTree } from '../images/runnable-tree.ts'

let room: TemporaryDirectory
let tree = ''

beforeAll(async () => {
  room = await temporaryDirectory()
  tree = await debianTree()
})

afterAll(() => room[Symbol.asyncDispose]())

function start(options: readonly string[], ...command: readonly string[]) {
  const [program, ...args] = tsnspawn('-q', '--register=no', ...options, ...command)
  return execa(program, args, { reject: false, timeout: 40_000, stdin: 'ignore' })
}

async function vanish(word: string): Promise<void> {
  for (let i = 0; i < 200 && processesNaming(word).length > 0; i++) await sleep(20)
  expect(processesNaming(word)).toEqual([])
}

describe.skipIf(lacks('root', 'overlay', 'user namespaces'))('a payload that', () => {
  it.each([[[]], [['--pipe']]])('floods the console gets it all through, %j', async (options) => {
    const flood = 'head -c 30000000 /dev/zero | tr "\\0" x'
    const { stdout, exitCode } = await start(['-D', tree, '-x', ...options], 'sh', '-c', flood)
    expect(exitCode).toBe(0)
    expect(stdout.length).toBe(30_000_000)
  })

  it('floods a console that nobody reads any more is ended', async () => {
    const marker = `flood-${process.pid}`
    const running = start(['-D', tree, '-x'], 'sh', '-c', `while :; do echo ${marker}; done`)
    await new Promise((resolve) => running.stdout.once('data', resolve))
    running.stdout.destroy()
    expect((await running).timedOut).toBe(false)
    await vanish(marker)
  })

  it('hears no SIGTERM is ended by the second one', async () => {
    const marker = `deaf-${process.pid}`
    const script = `trap "" TERM HUP INT; echo up; while :; do sleep 0.1; : ${marker}; done`
    const options = ['-a', '--kill-signal=SIGTERM', '-D', tree, '-x']
    const running = start(options, 'sh', '-c', script)
    await new Promise((resolve) => running.stdout.once('data', resolve))
    running.kill('SIGTERM')
    await sleep(300)
    expect(processesNaming(marker).length).toBeGreaterThan(0)
    running.kill('SIGTERM')
    expect((await running).exitCode).toBe(1)
    await vanish(marker)
  })

  it('forks without end is held by its limit, and goes as a whole', async () => {
    const marker = `bomb-${process.pid}`
    const script = `echo up; bomb() { bomb ${marker} | bomb ${marker} & }; while :; do bomb; done`
    const limits = ['--private-users=pick', '--rlimit=NPROC=60', '--user=games', '-a']
    const running = start(['-D', tree, '-x', ...limits], 'sh', '-c', script)
    await new Promise((resolve) => running.stdout.once('data', resolve))
    await sleep(700)
    expect(processesNaming(marker).length).toBeLessThan(80)
    running.kill('SIGTERM')
    expect((await running).timedOut).toBe(false)
    await vanish(marker)
  })

  it('exits at once has its status passed on', async () => {
    const statuses = await Promise.all(
      [0, 1, 42, 255].map(async (status) => {
        const { exitCode } = await start(['-D', tree, '-x'], 'sh', '-c', `exit ${status}`)
        return exitCode
      }),
    )
    expect(statuses).toEqual([0, 1, 42, 255])
  })

  it('is for another architecture is refused by its name', async () => {
    using borrowed = await borrowDebianTree(room.path, 'foreign')
    const elf = readFileSync(join(borrowed.path, 'usr/bin/true'))
    // e_machine (elf(5)): one that no kernel of ours runs.
    elf.writeUInt16LE(0x1234, 18)
    writeFileSync(join(borrowed.path, 'usr/bin/foreign'), elf, { mode: 0o755 })
    const { stderr, exitCode } = await start(['-D', borrowed.path], '/usr/bin/foreign')
    expect(exitCode).toBe(1)
    expect(stderr).toContain('/usr/bin/foreign')
    expect(stderr).toMatch(/ENOEXEC/)
  })
})

describe.skipIf(lacks('root', 'overlay'))('a tree that is started twice', () => {
  it('runs once, and the second start says who has it', async () => {
    using borrowed = await borrowDebianTree(room.path, 'twice')
    const [one, other] = await Promise.all(
      ['first', 'second'].map((name) =>
        start(['-D', borrowed.path, '-M', `${name}-${process.pid}`], 'sleep', '1'),
      ),
    )
    const [won, lost] = one?.exitCode === 0 ? [one, other] : [other, one]
    expect(won?.exitCode).toBe(0)
    expect(lost?.exitCode).toBe(1)
    expect(lost?.stderr).toMatch(/busy.*\(pid \d+\)/s)
  })
})
