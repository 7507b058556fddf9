/**
 * `create` that dies or finds no room where its own programs do the work: at each of the moments nothing half-made gets
 * its name, and the next run takes away what is left and makes the whole.
 */
import { execa } from 'execa'
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync, statfsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyArchives, type TinyArchives } from '../../fixtures/tiny-archives.ts'
import type { Responder, WebServer } from '../../fixtures/web-server.ts'
import { loopFileSystem } from '../images/loop-file-system.ts'

const slow = 180_000

const missing = lacks('root', 'program:dpkg-deb')

let tiny: TinyArchives

beforeAll(async () => {
  if (!missing) tiny = await tinyArchives()
}, slow)

afterAll(() => tiny?.[Symbol.asyncDispose]())

function createIn(directory: string, server: WebServer, ...words: string[]): [string, ...string[]] {
  return tsnspawnBuild(
    ...['--machines-dir', join(directory, 'machines'), '--state-dir', join(directory, 'state')],
    ...['create', 'debian', 'tree', '--no-updates', '--no-cache'],
    ...['--mirror', `${server.origin}/debian`, '--keyring', tiny.signer.keyring, ...words],
  )
}

/** Those of the machines directory that anybody would see. */
function visible(directory: string): string[] {
  return readdirSync(join(directory, 'machines')).filter((name) => !name.startsWith('.'))
}

/**
 * Calls of the program's own process at which it dies while it makes a disk image: as it starts each of the three that
 * make the file system (containers come before), as it puts the image together, and before it has its name.
 */
const deaths = [
  ...[5, 6, 7].map((when) => ['clone', when] as const),
  ...[1, 2].map((when) => ['ftruncate', when] as const),
  ['renameat2', 1],
  // Of the manifest, when all else has been done.
  ['rename', 1],
] as const

describe.skipIf(missing || lacks('program:strace', 'program:debugfs'))('kill -9', () => {
  test.each(deaths)(
    'at %s number %i of a disk image leaves no image, and nothing that the next run does not take away',
    { timeout: slow },
    async (call, when) => {
      await using dir = await temporaryDirectory()
      await using server = await tiny.publish([])
      const machines = join(dir.path, 'machines')
      await mkdir(machines)
      const before = await leftOvers({ directories: [machines] })
      const argv = createIn(dir.path, server, '--via', 'embedded', '--output', 'raw')
      const trace = ['-o', '/dev/null', '-e', `trace=${call}`]
      const inject = `--inject=${call}:signal=KILL:when=${when}`
      const { signal } = await execa('strace', [...trace, inject, ...argv], { reject: false })
      expect(signal).toBe('SIGKILL')
      await expect.poll(() => processesNaming(machines), { timeout: 60_000 }).toEqual([])
      const done = call === 'rename'
      expect(visible(dir.path)).toEqual(done ? ['tree.raw'] : [])
      const [program, ...args] = [...argv, ...(done ? ['--force'] : [])]
      await execa(program, args)
      expect(readdirSync(machines)).toEqual(['tree.raw'])
      const left = await newLeftOvers(before, { directories: [machines] })
      expect(left.filter((one) => one.includes(dir.path) && !one.endsWith('tree.raw'))).toEqual([])
      const { stdout } = await execa('blkid', [
        '--probe',
        '--output',
        'value',
        '--match-tag',
        'PTTYPE',
        join(machines, 'tree.raw'),
      ])
      expect(stdout).toBe('gpt')
    },
  )
})

describe.skipIf(missing || lacks('loop devices', 'program:debugfs'))('a disk', () => {
  test.each([0, 2, 8])(
    'that has %i MB left for an image is said to be full, and gets back all that was taken',
    { timeout: slow },
    async (megabytes) => {
      await using dir = await temporaryDirectory()
      await using server = await tiny.publish([])
      using disk = loopFileSystem('ext4', dir.path, 80)
      const filler = join(disk.path, 'filler')
      const making = tiny.make(disk.path, server, {
        output: { form: 'raw' },
        log(event) {
          if (event.kind !== 'step' || !event.text.startsWith('making the file system')) return
          const { bavail, bsize } = statfsSync(disk.path)
          execFileSync('fallocate', [
            '--length',
            `${bavail * bsize - megabytes * 1_000_000}`,
            filler,
          ])
        },
      })
      await expect(making).rejects.toMatchObject({ code: 'ENOSPC' })
      expect(readdirSync(disk.path).toSorted()).toEqual(['filler', 'lost+found'])
      rmSync(filler)
      await tiny.make(disk.path, server, { output: { form: 'raw' } })
      expect(readdirSync(disk.path).toSorted()).toEqual(['lost+found', 'tree.raw'])
    },
  )
})

describe.skipIf(missing || lacks('program:debootstrap'))('debootstrap', () => {
  test.each(['the signed index', 'the index'])(
    'that is killed while %s comes leaves nothing half-made, and the next run makes the tree',
    { timeout: slow },
    async (moment) => {
      await using dir = await temporaryDirectory()
      const stalled = moment === 'the index' ? /Packages/ : /InRelease$/
      const stall: Responder = (_request, response) =>
        void response.writeHead(200, { 'content-length': 1_000_000 }).write('x')
      await using server = await tiny.publish([], {
        archive: { forApt: true },
        routes: (routes) => {
          for (const [path, content] of Object.entries(routes)) {
            if (stalled.test(path)) routes[path] = stall
            // debootstrap takes the other character of a line's end for a part of the line.
            else if (typeof content === 'string') routes[path] = content.replaceAll('\r\n', '\n')
          }
        },
      })
      const machines = join(dir.path, 'machines')
      await mkdir(machines)
      const before = await leftOvers({ directories: [machines] })
      const [program, ...args] = createIn(
        dir.path,
        server,
        '--via',
        'debootstrap',
        '--variant',
        'minbase',
      )
      const running = execa(program, args, { reject: false })
      const asked = () => server.requests.some(({ url = '' }) => stalled.test(url))
      try {
        await expect.poll(asked, { timeout: 60_000 }).toBe(true)
      } finally {
        running.kill('SIGKILL')
        await running
      }
      await expect.poll(() => processesNaming(machines), { timeout: 60_000 }).toEqual([])
      expect(visible(dir.path)).toEqual([])
      await using good = await tiny.publish([])
      const [next, ...words] = createIn(dir.path, good, '--via', 'embedded')
      await execa(next, words)
      expect(readdirSync(machines)).toEqual(['tree'])
      const left = await newLeftOvers(before, { directories: [machines] })
      expect(left.filter((one) => one.includes(dir.path) && !one.endsWith('/tree'))).toEqual([])
    },
  )
})
