/**
 * A tree is somebody else's. Whatever its links say, nothing of the host is read, written or mounted on for it: each
 * is replaced by a link to a trap on the host, by its full name and by a climb out of the tree.
 */
import { execa } from 'execa'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { tsnspawn } from '../../fixtures/programs.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { borrowDebianTree, type BorrowedTree } from '../images/runnable-tree.ts'

const secret = 'SECRET-OF-THE-HOST'

let room: TemporaryDirectory
let borrowed: BorrowedTree
let trap = ''
let count = 0

beforeAll(async () => {
  room = await temporaryDirectory()
})

afterAll(() => room[Symbol.asyncDispose]())

beforeEach(async () => {
  trap = join(room.path, `trap-${count}`)
  mkdirSync(trap)
  mkdirSync(join(trap, 'host'))
  for (const name of ['os-release', 'resolv.conf', 'localtime', 'machine-id', 'passwd', 'group'])
    writeFileSync(join(trap, name), `${secret}\n`)
  borrowed = await borrowDebianTree(room.path, `tree-${count++}`)
  return () => borrowed[Symbol.dispose]()
})

/** Everything about the trap that could have been changed, and what is mounted in it. */
async function traces(): Promise<string> {
  const format = '%p %y %m %U %G %s %T@ %C@\\n'
  const [files, mounts] = await Promise.all([
    execa('find', [trap, '-printf', format]),
    execa('findmnt', ['--raw', '--noheadings', '--output', 'TARGET']),
  ])
  const inTrap = mounts.stdout.split('\n').filter((target) => target.startsWith(trap))
  return [files.stdout, ...inTrap].join('\n')
}

function replaceByLink(path: string, target: string): void {
  const inside = join(borrowed.path, path)
  rmSync(inside, { recursive: true, force: true })
  symlinkSync(target, inside)
}

const replaced: readonly (readonly [path: string, target: string])[] = [
  ...['etc', 'dev', 'run', 'proc', 'sys', 'tmp', 'root', 'home', 'mnt'].map(
    (name) => [name, ''] as const,
  ),
  ['run/host', 'host'],
  ['dev/shm', 'host'],
  ['dev/pts', 'host'],
  ['var/log/journal', 'host'],
  ['etc/os-release', 'os-release'],
  ['usr/lib/os-release', 'os-release'],
  ['etc/resolv.conf', 'resolv.conf'],
  ['etc/localtime', 'localtime'],
  ['etc/machine-id', 'machine-id'],
  ['etc/passwd', 'passwd'],
  ['etc/group', 'group'],
]

/** Between them everything that touches a tree before its payload starts. */
const ways = [
  [
    ...['--resolv-conf=copy-host', '--timezone=copy'],
    ...['--bind=/usr/bin:/mnt/made', '--tmpfs=/home/made'],
  ],
  [
    ...['--resolv-conf=replace-host', '--timezone=delete', '--user=games'],
    ...['--private-users=identity', '--private-network'],
  ],
]

describe.each(replaced)('/%s as a link out of the tree', (path, target) => {
  it.each(['by its full name', 'by a climb'] as const)('%s', async (form) => {
    const there = join(trap, target)
    replaceByLink(path, form === 'by a climb' ? `${'../'.repeat(30)}${there.slice(1)}` : there)
    const before = await traces()
    for (const options of ways) {
      const [program, ...args] = tsnspawn(
        ...['-q', '--register=no', '--keep-unit', '--pipe', '-D', borrowed.path],
        ...options,
        ...['sh', '-c', 'cat /etc/os-release /etc/resolv.conf /etc/passwd /root/* 2>&1; true'],
      )
      const { stdout, stderr } = await execa(program, args, { reject: false, timeout: 30_000 })
      expect(stdout).not.toContain(secret)
      expect(stderr).not.toContain(secret)
      expect(stderr).not.toContain('BUG')
    }
    expect(await traces()).toBe(before)
  })
})

describe("the tree's getent", () => {
  it('may do no more than the payload', async () => {
    const shown = join(borrowed.path, 'shown')
    const script = `#!/bin/sh\ngrep -E '^(CapBnd|CapEff|Seccomp):' /proc/self/status > /shown\necho odd:x:12:12::/:/bin/sh\n`
    writeFileSync(join(borrowed.path, 'usr/bin/getent'), script, { mode: 0o755 })
    const status = async (...more: readonly string[]) => {
      const [program, ...args] = tsnspawn(
        ...['-q', '--register=no', '--keep-unit', '--pipe', '-D', borrowed.path, ...more],
        ...['grep', '-E', '^(CapBnd|CapEff|Seccomp):', '/proc/self/status'],
      )
      const { stdout } = await execa(program, args)
      return stdout.trim()
    }
    await status('--user=odd')
    expect(readFileSync(shown, 'utf8').trim()).toBe(await status())
  })
})

describe('a file of the tree that is no file', () => {
  it.each(['etc/machine-id', 'etc/os-release', 'etc/passwd', 'etc/group', 'etc/resolv.conf'])(
    'does not hold the start up: %s as a fifo',
    async (path) => {
      const inside = join(borrowed.path, path)
      rmSync(inside, { force: true })
      await execa('mkfifo', [inside])
      const [program, ...args] = tsnspawn(
        ...['-q', '--register=no', '--keep-unit', '--pipe', '-D', borrowed.path],
        ...['--resolv-conf=copy-host', '--user=games', 'true'],
      )
      const { timedOut, stderr } = await execa(program, args, { reject: false, timeout: 40_000 })
      expect(timedOut).toBe(false)
      expect(stderr).not.toContain('BUG')
    },
  )
})
