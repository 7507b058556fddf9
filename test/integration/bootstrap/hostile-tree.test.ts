/**
 * Packages may be anybody's. Whatever their scripts make of a tree, nothing of the host is read or written for it, nothing
 * waits for ever, and a tree that is none is not published.
 */
import { execa, execaSync } from 'execa'
import { mkdirSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import type { DebSpec } from '../../fixtures/apt-archive.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { tinyArchives, type TinyArchives } from '../../fixtures/tiny-archives.ts'
import { copyProgram } from '../../fixtures/tiny-debian.ts'
import type { WebServer } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'program:dpkg-deb')

const slow = 120_000
const secret = 'SECRET-OF-THE-HOST'

/** What the postinst of a package does; `TRAP` is a directory of the host, by its path there. */
const attacks = {
  'etc-link': ['mv /etc /etc-before', 'mkdir -p /deep', 'ln -s TRAP /etc'],
  'os-release-pipe': ['rm /etc/os-release', 'mkfifo /etc/os-release'],
  'os-release-huge': ['truncate -s 3G /etc/os-release'],
  'os-release-link': ['rm /etc/os-release', 'ln -s TRAP/os-release /etc/os-release'],
  'hosts-pipe': ['mkfifo /etc/hosts'],
  'locale-device': ['mknod /etc/locale.conf b 7 0'],
  'shadow-device': ['mknod /etc/shadow c 1 5'],
  'shell-pipe': [
    'mkdir -p /usr/local/bin',
    'ln -s /usr/bin/dash /usr/local/bin/sh',
    'rm /usr/bin/sh',
    'mkfifo /usr/bin/sh',
  ],
  links: [
    'rm -rf /var/cache/apt; ln -s ../../../../../../../../../../TRAP /var/cache/apt',
    'rm -rf /var/log; ln -s TRAP /var/log',
    'ln -sf TRAP/passwd /etc/locale.conf',
    'ln -sf TRAP/passwd /etc/machine-id',
    'rm -rf /etc/apt; ln -s TRAP /etc/apt',
    'ln -sf TRAP/passwd /etc/shadow',
    'rm -rf /root; ln -s TRAP /root',
    'ln -sf TRAP/passwd /etc/hosts',
  ],
  depths: [
    'mkdir -p /var/tmp; cd /var/tmp',
    'p=d; i=0; while [ $i -lt 1900 ]; do p=$p/d; i=$((i+1)); done; mkdir -p $p',
    'mkdir /var/tmp/fixed; chattr +i /var/tmp/fixed || true',
  ],
  'last-check': [
    "echo '#!/bin/sh' > /usr/bin/true",
    "echo 'read inside outside count < /proc/self/uid_map; [ $outside != 0 ]' >> /usr/bin/true",
  ],
  oddities: [
    'mkfifo /srv-pipe; mknod /srv-null c 1 3; truncate -s 1T /srv-sparse',
    'ln -s TRAP /srv-link',
  ],
} as const

describe.skipIf(missing)('a tree after packages that mean harm', () => {
  let tiny: TinyArchives
  let server: WebServer
  let trap: TemporaryDirectory
  let room: TemporaryDirectory

  beforeAll(async () => {
    tiny = await tinyArchives()
    trap = await temporaryDirectory()
    const programs = join(tiny.path, 'programs')
    const names = ['mv', 'ln', 'mkfifo', 'mknod', 'truncate', 'mkdir', 'chattr']
    for (const name of names) await copyProgram(`/usr/bin/${name}`, programs)
    const arms = {
      name: 'arms',
      tree: programs,
      fields: { Architecture: tiny.architecture, Replaces: 'base-files' },
    }
    const specs = Object.entries(attacks).map(([name, lines]): DebSpec => ({
      name,
      fields: { Depends: 'arms' },
      scripts: { postinst: lines.map((line) => line.replaceAll('TRAP', trap.path)) },
    }))
    server = await tiny.publish([arms, ...specs])
    for (const name of ['passwd', 'os-release', 'status'])
      writeFileSync(join(trap.path, name), `${secret}\n`)
    mkdirSync(join(trap.path, 'archives'))
    writeFileSync(join(trap.path, 'archives/kept'), secret)
  }, slow)

  afterAll(async () => {
    await server?.[Symbol.asyncDispose]()
    await trap?.[Symbol.asyncDispose]()
    await tiny?.[Symbol.asyncDispose]()
  })

  beforeEach(async () => {
    room = await temporaryDirectory()
    const machines = join(room.path, 'machines')
    await mkdir(machines)
    const before = await leftOvers({ directories: [machines] })
    const seen = traces()
    return async () => {
      if (traces() !== seen) throw new Error(`the host was changed: ${traces()}`)
      const left = await newLeftOvers(before, { directories: [machines] })
      const ours = left.filter((line) => line.includes(room.path) && !line.endsWith('/tree'))
      if (ours.length > 0) throw new Error(`left over: ${ours.join('\n')}`)
      await room[Symbol.asyncDispose]()
    }
  })

  /** Everything about the trap that could have been changed. */
  function traces(): string {
    return execaSync('find', [trap.path, '-printf', '%p %y %m %U %G %s %T@ %C@ %l\\n']).stdout
  }

  const make = (attack: keyof typeof attacks, request: Partial<TreeRequest> = {}) =>
    tiny.make(join(room.path, 'machines'), server, { include: [attack], ...request })

  test.each([
    ['etc-link', 'no os-release file'],
    ['os-release-pipe', 'no os-release file'],
    ['os-release-huge', 'no os-release file'],
    ['os-release-link', 'no os-release file'],
    ['hosts-pipe', '/etc/hosts of the tree is no file'],
    ['locale-device', '/etc/locale.conf of the tree is no file'],
    ['shadow-device', '/etc/shadow of the tree is no file'],
    ['shell-pipe', '/bin/sh of the tree is no file'],
  ] as const)('is refused, and nothing is left: %s', { timeout: slow }, async (attack, why) => {
    // A program of its own, for one that waits for a pipe cannot be told to stop.
    const [program, ...args] = tsnspawnBuild(
      ...['--machines-dir', join(room.path, 'machines'), '--state-dir', join(room.path, 'state')],
      ...['create', 'debian', 'tree', '--via', 'embedded', '--no-updates', '--no-cache'],
      ...['--mirror', `${server.origin}/debian`, '--keyring', tiny.signer.keyring],
      ...['--include', attack],
    )
    const { exitCode, stderr } = await execa(program, args, { reject: false, timeout: 60_000 })
    expect(stderr).toContain(why)
    expect(exitCode).toBe(8)
    expect(readdirSync(join(room.path, 'machines'))).toEqual([])
  })

  test(
    'gets its files where its links lead in it, never on the host',
    { timeout: slow },
    async () => {
      const { path } = await make('links', {
        customize: { words: { hostname: 'box', timezone: 'UTC' }, directory: '/' },
      })
      expect(readlinkSync(join(path, 'etc/hosts'))).toBe(join(trap.path, 'passwd'))
    },
  )

  test(
    'can be left in any state, and goes or is kept all the same',
    { timeout: slow },
    async () => {
      const { path } = await make('depths')
      expect(readdirSync(join(path, 'var/tmp'))).toEqual([])
    },
  )

  test('is tried as nobody that the host knows', { timeout: slow }, async () => {
    const { path } = await make('last-check')
    expect(readdirSync(join(path, 'usr/bin'))).toContain('true')
  })

  test.each(['tar', 'raw'])(
    'is delivered with pipes, nodes and holes as they are (%s)',
    { timeout: slow },
    async (form) => {
      const file = join(room.path, `tree.${form}`)
      await make('oddities', { output: { form, file } })
      // A terabyte of nothing takes no room.
      expect(statSync(file).blocks * 512).toBeLessThan(400_000_000)
      expect(readdirSync(join(room.path, 'machines'))).toEqual([])
    },
  )
})
