/**
 * Nothing is left over, whatever kills a run: the supervisor is killed at one system call after the other, from
 * the first lock to the last clean-up; then one more run of the same image takes away what it could not.
 */
import { execa } from 'execa'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { copyDebianTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawn } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

let room: TemporaryDirectory | undefined
let tree = ''
const marker = `98765.${process.pid}`

/** Command line of a container that uses everything which has to be undone. */
const options = () => [
  ...['-q', '-P', '-D', tree, '-x', '-U', '--private-network'],
  ...['--bind=:/mnt', '--overlay=+/usr/share::/opt'],
]

/** Payloads that outlived their supervisor. */
function survivors(): number[] {
  return processesNaming(marker)
    .filter(({ command }) => command.startsWith('sleep'))
    .map(({ pid }) => pid)
}

async function waitForNoSurvivors(): Promise<void> {
  for (let i = 0; i < 100 && survivors().length > 0; i++) await sleep(20)
  expect(survivors()).toEqual([])
}

/** A run to its end, which takes away what others left. */
async function sweep(): Promise<void> {
  const [program, ...args] = tsnspawn(...options(), 'true')
  const { exitCode, stderr } = await execa(program, args, { reject: false })
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
}

const scope = () => ({
  directories: [room?.path as string, '/var/tmp'],
  machines: [`faults-${process.pid}`],
})

/** System calls of the supervisor's own process, in the order of a run; each is where it may die. */
const steps: readonly (readonly [call: string, when: number])[] = [
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((when) => ['mkdir', when] as const),
  ...[1, 2, 3, 4, 5].map((when) => ['fcntl', when * 8] as const),
  ['clone', 1],
  ['pidfd_open', 1],
  ['pidfd_open', 2],
  ['sendmsg', 1],
  ['sendmsg', 2],
  ...[1, 2, 3, 4].map((when) => ['poll', when] as const),
  ...[1, 2, 3, 4, 5, 6].map((when) => ['rmdir', when] as const),
  ...[1, 2, 3, 4, 5].map((when) => ['unlink,unlinkat', when] as const),
]

describe.skipIf(lacks('root', 'user namespaces', 'overlay', 'program:strace'))('kill -9', () => {
  let before = new Set<string>()
  beforeAll(async () => {
    room = await temporaryDirectory()
    tree = await copyDebianTree(join(room.path, `faults-${process.pid}`))
    await sweep()
    before = await leftOvers(scope())
  })
  afterAll(async () => {
    for (const pid of survivors()) process.kill(pid, 'SIGKILL')
    await room?.[Symbol.asyncDispose]()
  })

  it.each(steps)(
    'at %s number %i leaves nothing the next run does not take away',
    async (call, when) => {
      const inject = `--inject=${call}:signal=KILL:when=${when}`
      const command = tsnspawn(...options(), 'sh', '-c', 'exit 0')
      await execa('strace', ['-o', '/dev/null', '-e', `trace=${call}`, inject, ...command], {
        reject: false,
      })
      await sweep()
      expect(await newLeftOvers(before, scope())).toEqual([])
    },
  )

  it.each([60, 120, 200, 300, 400, 600])(
    'after %i ms of a running container leaves nothing',
    async (ms) => {
      const [program, ...args] = tsnspawn(...options(), '-a', 'sleep', marker)
      const child = execa(program, args, { reject: false })
      await sleep(ms)
      child.kill('SIGKILL')
      await child
      await waitForNoSurvivors()
      await sweep()
      expect(await newLeftOvers(before, scope())).toEqual([])
    },
  )

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends the container and undoes everything',
    async (signal) => {
      const [program, ...args] = tsnspawn(...options(), 'sh', '-c', `echo up; exec sleep ${marker}`)
      const child = execa(program, args, { reject: false })
      await new Promise((resolve) => child.stdout.once('data', resolve))
      child.kill(signal)
      const { exitCode } = await child
      expect(exitCode).toBe(1)
      expect(survivors()).toEqual([])
      expect(await newLeftOvers(before, scope())).toEqual([])
    },
  )
})
