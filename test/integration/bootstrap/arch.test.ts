/** Arch trees by the real tools, from small signed repositories that are made here. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreeManifest } from '../../../src/bootstrap/manifest.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { updateTree } from '../../../src/bootstrap/update.ts'
import type { NspawnError } from '../../../src/errors.ts'
import { findImage } from '../../../src/images/discover.ts'
import { silent, type LogEvent, type LogSink } from '../../../src/log.ts'
import { makeGpgSigner, type GpgSigner } from '../../fixtures/gpg-signer.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import {
  buildPacmanPackage,
  makepkgPackage,
  markerPath,
  PacmanRepository,
  treePackages,
  type PacmanPackageSpec,
  type Signs,
} from '../../fixtures/pacman-repository.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawn, tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder, type WebServer } from '../../fixtures/web-server.ts'

const missing = lacks(
  'root',
  'program:pacman',
  'program:pacstrap',
  'program:makepkg',
  'program:bsdtar',
  'program:gpg',
  'program:busybox',
  'program:fakeroot',
)

const slow = 120_000

/** Packages beside those of the tree, for one test each. */
const extraPackages: readonly PacmanPackageSpec[] = [
  // Without pacman in it a tree is made in a moment.
  { name: 'base', version: '0', fields: ['depends=(filesystem tiny-shell)'] },
  { name: 'hello', files: { 'usr/share/hello': '1\n' }, fields: ['groups=(tools)'] },
  { name: 'hello', version: '2', files: { 'usr/share/hello': '2\n' }, fields: ['groups=(tools)'] },
  { name: 'rival', fields: ['conflicts=(tiny-shell)'] },
  { name: 'clash', files: { 'usr/share/hello': 'mine\n' } },
  { name: 'lonely', fields: ['depends=(nobody-has-this)'] },
  {
    name: 'stumbling',
    files: { 'usr/share/stumbling': '' },
    fields: ['depends=(tiny-shell)'],
    install: 'post_install() { echo "I fall" >&2; return 3; }\n',
  },
]

let shared: TemporaryDirectory
let signer: GpgSigner
/** By `name-version`. */
const built = new Map<string, string>()

const treeSet = treePackages.map(({ name }) => `${name}-1`)
const leanSet = ['filesystem-1', 'tiny-shell-1', 'base-0']

describe.skipIf(missing)('create arch', () => {
  beforeAll(async () => {
    shared = await temporaryDirectory()
    signer = makeGpgSigner(shared.path, 'packager')
    for (const spec of [...treePackages, makepkgPackage, ...extraPackages])
      built.set(`${spec.name}-${spec.version ?? 1}`, await buildPacmanPackage(shared.path, spec))
  })

  afterAll(async () => {
    signer[Symbol.dispose]()
    await shared[Symbol.asyncDispose]()
  })

  test(
    'pacman makes a tree that runs and has its keys without a secret; packages are fetched once, and not at all offline',
    { timeout: slow },
    async () => {
      await using room = await makeRoom()
      await using server = await serveRepositories(room, treeSet)
      const before = await leftOvers({ directories: [room.machines] })
      const request = { mirror: server.origin, via: 'pacman' } as const
      const events: LogEvent[] = []
      // GnuPG's sockets would have paths that are too long below the directory of such a name.
      const longName = 'a-machine-with-a-name-as-long-as-the-name-of-a-host-may-be-it-is'
      const made = await create(room, { ...request, name: longName }, (event) => events.push(event))
      expect(made).toMatchObject({
        name: longName,
        release: 'rolling',
        strategy: 'pacman',
        packages: 4,
      })
      expect(readFileSync(join(made.path, markerPath), 'utf8')).toBe('1-1\n')
      expect(statSync(made.path).mode & 0o7777).toBe(0o755)
      expect(statSync(join(made.path, 'tmp')).mode & 0o7777).toBe(0o1777)
      // A script wrote to /dev/null, which was a device then.
      expect(readdirSync(join(made.path, 'dev'))).toEqual([])
      expect(existsSync(join(made.path, 'var/cache/pacman/pkg'))).toBe(false)
      expect(readdirSync(join(made.path, 'etc/pacman.d/gnupg')).toSorted()).toEqual([
        '.gpg-v21-migrated',
        'gpg-agent.conf',
        'gpg.conf',
        'pubring.gpg',
        'trustdb.gpg',
      ])
      expect(mirrorlist(made)).toMatch(`Server = ${server.origin}/$repo/os/$arch\n`)
      const manifest = JSON.parse(readFileSync(made.manifest, 'utf8')) as TreeManifest
      expect(manifest.packages.map(({ name }) => name)).toContain('tiny-shell')
      expect(manifest.tools['pacman']).toMatch(/^\d/)
      expect(events).toContainEqual({
        kind: 'progress',
        text: 'installing base',
        done: 4,
        total: 4,
        unit: 'packages',
      })
      expect(packageRequests(server)).toHaveLength(4)

      await create(room, { ...request, name: 'two' })
      expect(packageRequests(server)).toHaveLength(4)

      const asked = server.requests.length
      const offline = await create(room, { ...request, name: 'three', network: 'forbidden' })
      expect(offline.packages).toBe(4)
      expect(server.requests).toHaveLength(asked)
      await expect(
        create(room, { ...request, include: ['hello'], network: 'forbidden' }),
      ).rejects.toMatchObject({ code: 'BOOTSTRAP_PACKAGE' })
      expect(await room.left(before)).toEqual([])
    },
  )

  test('offline without a cache it is told what is missing, and nobody is asked', async () => {
    await using room = await makeRoom()
    await using server = await serveRepositories(room, [...leanSet, 'hello-1'])
    const request = { mirror: server.origin, network: 'forbidden' } as const
    await expect(create(room, request)).rejects.toMatchObject({
      code: 'BOOTSTRAP_OFFLINE',
      message: expect.stringContaining('no index of core, extra') as string,
    })
    expect(server.requests).toEqual([])
    await create(room, { mirror: server.origin, name: 'small' })
    await expect(create(room, { ...request, include: ['hello'] })).rejects.toMatchObject({
      code: 'BOOTSTRAP_OFFLINE',
      message: expect.stringContaining('hello 1-1') as string,
    })
  })

  test('pacstrap makes the same tree as pacman itself', { timeout: slow }, async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, leanSet)
    const [one, two] = [
      await create(room, { mirror, via: 'pacman', name: 'one' }),
      await create(room, { mirror, via: 'pacstrap', name: 'two' }),
    ]
    expect(two.strategy).toBe('pacstrap')
    const lists = await Promise.all([one, two].map(listing))
    const only = (a: string[], b: string[]) => a.filter((line) => !b.includes(line))
    expect(only(lists[0]!, lists[1]!)).toEqual([])
    // It makes these whether or not somebody needs them.
    expect(only(lists[1]!, lists[0]!)).toEqual([
      './var/cache drwxr-xr-x',
      './var/cache/pacman drwxr-xr-x',
      './var/cache/pacman/pkg drwxr-xr-x',
      './var/log drwxr-xr-x',
    ])
  })

  test(
    'an image of the distribution becomes a tree, and its pacman brings it up to date',
    { timeout: slow },
    async () => {
      await using room = await makeRoom(true)
      const mirror = await makeRepositories(room, [...treeSet, 'hello-1'])
      const first = await create(room, { mirror, include: ['hello'], name: 'first' })
      await addImage(mirror, first.path, signer)
      await new PacmanRepository(join(mirror, 'core/os/x86_64'), 'core', signer).add(
        built.get('hello-2')!,
      )
      const made = await create(room, { mirror, include: ['hello'], via: 'image', name: 'second' })
      expect(made).toMatchObject({ strategy: 'image', packages: 5 })
      expect(readFileSync(join(made.path, 'usr/share/hello'), 'utf8')).toBe('2\n')
      expect(readdirSync(made.path)).not.toContain('pkglist.x86_64.txt')
      expect(readdirSync(made.path)).not.toContain('run/tsnspawn')
      expect(readdirSync(join(made.path, 'etc/pacman.d/gnupg'))).not.toContain('private-keys-v1.d')
      expect(mirrorlist(made)).toMatch(/^Server = https:\/\/geo\.mirror\.pkgbuild\.com\//)

      const image = join(mirror, 'iso/latest/archlinux-bootstrap-x86_64.tar.zst')
      const bytes = await readFile(image)
      bytes[bytes.length >> 1]! ^= 1
      await writeFile(image, bytes)
      // The kept one is still what the signature is for.
      await create(room, { mirror, via: 'image', name: 'third' })
      await rm(join(room.state, 'cache'), { recursive: true })
      await expect(create(room, { mirror, via: 'image', name: 'fourth' })).rejects.toMatchObject({
        code: 'BOOTSTRAP_SIGNATURE',
      })
      await rm(`${image}.sig`)
      await expect(create(room, { mirror, via: 'image', name: 'fourth' })).rejects.toMatchObject({
        code: 'BOOTSTRAP_SIGNATURE',
      })
      await rm(image)
      await expect(
        create(room, { mirror, via: 'image', name: 'fourth', signatures: 'ignored' }),
      ).rejects.toMatchObject({ code: 'BOOTSTRAP_SUITE' })
      expect(readdirSync(room.machines)).toEqual(['first', 'second', 'third'])
    },
  )

  test(
    'update installs what the keys of the tree vouch for; whatever fails leaves the tree as it was',
    { timeout: slow },
    async () => {
      await using room = await makeRoom()
      await using server = await serveRepositories(room, [...treeSet, 'hello-1'])
      const made = await create(room, { mirror: server.origin, include: ['hello'] })
      const hello = () => readFileSync(join(made.path, 'usr/share/hello'), 'utf8')
      const update = (mode: 'apply' | 'preview' = 'apply') =>
        updateTree(findImage(made.name, room.machines)!, mode, room.context(silent))
      const publish = async (spec: Partial<PacmanPackageSpec>, by: Signs = signer) => {
        const path = await buildPacmanPackage(room.path, { name: 'hello', ...spec })
        await new PacmanRepository(server.core, 'core', by).add(path)
        server.refresh()
      }
      const version = (text: string) => ({
        version: text,
        files: { 'usr/share/hello': `${text}\n` },
      })

      await publish(version('2'))
      const changes = [{ name: 'hello', architecture: 'any', from: '1-1', to: '2-1' }]
      expect((await update('preview')).changes).toEqual(changes)
      expect(hello()).toBe('1\n')
      expect((await update()).changes).toEqual(changes)
      expect(hello()).toBe('2\n')
      expect(readdirSync(join(made.path, 'var/cache/pacman/pkg'))).toEqual([])
      expect((await update()).changes).toEqual([])

      const { ino } = statSync(made.path)
      const fails = async (code: string, words: string) => {
        await expect(update()).rejects.toMatchObject({
          code,
          message: expect.stringContaining(words) as string,
          log: join(room.state, `logs/update-${made.name}.log`),
        })
        expect(statSync(made.path).ino).toBe(ino)
        expect(hello()).toBe('2\n')
        expect(existsSync(join(made.path, 'var/lib/pacman/db.lck'))).toBe(false)
        expect(readdirSync(room.machines)).toEqual([made.name])
      }
      const install = 'post_upgrade() { return 3; }\n'
      await publish({ ...version('3'), install })
      await fails('BOOTSTRAP_SCRIPT', 'the install script of hello failed')
      using stranger = makeGpgSigner(room.path, 'stranger')
      await publish(version('4'), stranger)
      await fails('BOOTSTRAP_SIGNATURE', '')
    },
  )

  test('packages are built in the tree, and installed there', { timeout: slow }, async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, [...treeSet, 'base-devel-1'])
    const made = await create(room, { mirror, include: ['base-devel'] })
    const inside = async (user: string, line: string) => {
      const [program, ...args] = tsnspawn(
        ...['--quiet', '--register=no', '--keep-unit', '--private-network', '--pipe'],
        ...['-D', made.path, `--user=${user}`, '-E', 'PATH=/usr/local/bin:/usr/bin'],
        ...['/usr/bin/bash', '-ec', line],
      )
      await execa(program, args)
    }
    await mkdir(join(made.path, 'build'))
    await execa('chown', ['65534:65534', join(made.path, 'build')])
    await writeFile(
      join(made.path, 'build/PKGBUILD'),
      [
        'pkgname=inner',
        'pkgver=1',
        'pkgrel=1',
        'arch=(any)',
        'options=(!strip !debug)',
        'package() { mkdir -p "$pkgdir/usr/share"; echo built >"$pkgdir/usr/share/inner"; }',
        '',
      ].join('\n'),
    )
    const where = 'HOME=/build BUILDDIR=/build/work PKGDEST=/build PKGEXT=.pkg.tar.zst'
    await inside('nobody', `cd /build; ${where} makepkg --nodeps --nosign`)
    await inside('root', 'pacman --noconfirm -U /build/inner-1-1-any.pkg.tar.zst')
    expect(readFileSync(join(made.path, 'usr/share/inner'), 'utf8')).toBe('built\n')
  })

  test('a member of a group can be left out, but nothing that others need', async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, [...leanSet, 'hello-1'])
    const made = await create(room, { mirror, include: ['tools'], exclude: ['hello'] })
    expect(existsSync(join(made.path, 'usr/share/hello'))).toBe(false)
    expect(made.packages).toBe(3)
    await expect(
      create(room, { mirror, name: 'other', exclude: ['tiny-shell'] }),
    ).rejects.toMatchObject({
      code: 'BOOTSTRAP_PACKAGE',
      message: expect.stringContaining('tiny-shell') as string,
    })
  })

  test('a repository of one’s own comes first; the tree keeps it where it can be reached from there', async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, [...leanSet, 'hello-1'])
    const mine = new PacmanRepository(join(room.path, 'mine'), 'mine', signer)
    await mine.add(built.get('hello-2')!)
    await using server = await serve({})
    const request = {
      mirror,
      include: ['hello'],
      repositories: [`mine=${mine.directory}`, `far=${server.origin}/far`],
    }
    await expect(create(room, request)).rejects.toMatchObject({
      code: 'BOOTSTRAP_SUITE',
    })
    const made = await create(room, { ...request, repositories: [`mine=${mine.directory}`] })
    expect(readFileSync(join(made.path, 'usr/share/hello'), 'utf8')).toBe('2\n')
    expect(readFileSync(join(made.path, 'etc/pacman.conf'), 'utf8')).not.toContain('mine')
  })

  test('an unsigned archive is refused, and taken with a warning when that was asked for', async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, leanSet, 'nobody')
    await expect(create(room, { mirror })).rejects.toMatchObject({
      code: 'BOOTSTRAP_SIGNATURE',
    })
    const warnings: string[] = []
    const log = (event: LogEvent) => {
      if (event.kind === 'warning') warnings.push(event.text)
    }
    const made = await create(room, { mirror, signatures: 'ignored' }, log)
    expect(warnings[0]).toMatch('signatures of the archive are not checked')
    expect(existsSync(join(made.path, 'etc/pacman.d/gnupg'))).toBe(false)
  })

  test('keys that did not sign, or that have expired, are refused', async () => {
    await using room = await makeRoom()
    using stranger = makeGpgSigner(room.path, 'stranger')
    using expired = makeGpgSigner(room.path, 'expired', 'expired')
    const mirror = await makeRepositories(room, leanSet)
    for (const [keyring, code] of [
      [stranger.keyring, 'BOOTSTRAP_SIGNATURE'],
      [expired.keyring, 'BOOTSTRAP_SIGNATURE'],
      ['/etc/hostname', 'USAGE'],
    ] as const)
      await expect(create(room, { mirror, keyring })).rejects.toMatchObject({ code })
    const byExpired = await makeRepositories(room, leanSet, expired, 'by-expired')
    await expect(create(room, { mirror: byExpired })).rejects.toMatchObject({
      code: 'BOOTSTRAP_SIGNATURE',
    })
    expect(readdirSync(room.machines)).toEqual([])
    expect(processesNaming(room.machines)).toEqual([])
  })

  const file = 'base-0-1-any.pkg.tar.zst'
  const place = `/core/os/x86_64/${file}`
  test.each<[string, string, Responder]>([
    [
      'a flipped byte in a package',
      'BOOTSTRAP_SIGNATURE',
      (_request, response) => {
        const bytes = Buffer.from(readFileSync(built.get('base-0')!))
        bytes[bytes.length - 3]! ^= 1
        response.end(bytes)
      },
    ],
    [
      // What makepkg leaves where bsdtar is missing.
      'a package of twenty bytes',
      'BOOTSTRAP_',
      (_request, response) => response.end(Buffer.alloc(20)),
    ],
    [
      'half a package',
      'BOOTSTRAP_MIRROR',
      (_request, response) => {
        const bytes = readFileSync(built.get('base-0')!)
        response.writeHead(200, { 'content-length': bytes.length })
        response.write(bytes.subarray(0, 100), () => response.destroy())
      },
    ],
    [
      'a package that is not there',
      'BOOTSTRAP_MIRROR',
      (_request, response) => response.writeHead(404).end(),
    ],
    [
      'a mirror that stalls',
      'BOOTSTRAP_MIRROR',
      (_request, response) => {
        response.writeHead(200, { 'content-length': statSync(built.get('base-0')!).size })
        response.write('x')
      },
    ],
  ])(
    '%s is told as such, and nothing is left',
    { timeout: slow },
    async (_what, code, responder) => {
      await using room = await makeRoom()
      await using server = await serveRepositories(room, leanSet)
      server.routes[place] = responder
      const failed = create(room, { mirror: server.origin })
      await expect(failed).rejects.toMatchObject({ code: expect.stringMatching(code) as string })
      expect(readdirSync(room.machines)).toEqual([])
      expect(processesNaming(room.machines)).toEqual([])
    },
  )

  test.each([
    ['rival', /in conflict/],
    ['lonely', /nobody-has-this/],
    ['hallo', /not in the repositories: hallo/],
  ])('%s cannot be installed, and it is said why', async (name, why) => {
    await using room = await makeRoom()
    const all = [...leanSet, 'hello-1', 'rival-1', 'lonely-1', 'clash-1']
    const mirror = await makeRepositories(room, all)
    await expect(create(room, { mirror, include: [name] })).rejects.toMatchObject({
      code: 'BOOTSTRAP_PACKAGE',
      message: expect.stringMatching(why) as string,
      ...(name === 'hallo' ? { hint: 'did you mean hello?' } : {}),
    })
    if (name !== 'rival') return
    const both = create(room, { mirror, include: ['hello', 'clash'] })
    await expect(both).rejects.toMatchObject({ code: 'BOOTSTRAP_PACKAGE' })
  })

  test('a mirror without indexes, and one that is not there, are told apart', async () => {
    await using room = await makeRoom()
    await using server = await serve({})
    for (const [mirror, code] of [
      [server.origin, 'BOOTSTRAP_SUITE'],
      ['http://127.0.0.1:1', 'BOOTSTRAP_MIRROR'],
      [join(room.path, 'nowhere'), 'USAGE'],
    ] as const)
      await expect(create(room, { mirror })).rejects.toMatchObject({ code })
  })

  test.each(['pacman', 'pacstrap', 'image'])(
    'an install script that fails under %s is told by its package, and no tree is made',
    { timeout: slow },
    async (via) => {
      await using room = await makeRoom()
      const mirror = await makeRepositories(room, [...treeSet, 'stumbling-1'])
      if (via === 'image') {
        const first = await create(room, { mirror, name: 'first' })
        await addImage(mirror, first.path, signer)
        await rm(first.path, { recursive: true })
      }
      const error = await create(room, { mirror, via, name: 'tree', include: ['stumbling'] }).then(
        () => expect.fail('it did not fail'),
        (reason: unknown) => reason as NspawnError,
      )
      expect(error.code).toBe('BOOTSTRAP_SCRIPT')
      expect(error.message).toContain('the install script of stumbling failed')
      expect(error.log).toBe(join(room.state, 'logs/create-tree.log'))
      expect(readFileSync(error.log!, 'utf8')).toContain('I fall')
      expect(readdirSync(room.machines)).toEqual([])
    },
  )

  test('a damaged package of the cache is fetched again, and takes its place', async () => {
    await using room = await makeRoom(true)
    await using server = await serveRepositories(room, leanSet)
    const request = { mirror: server.origin }
    await create(room, { ...request, name: 'one' })
    const pool = join(room.state, 'cache/arch')
    const kept = join(pool, readdirSync(pool)[0]!, file)
    const size = statSync(kept).size
    truncateSync(kept, size - 7)
    await create(room, { ...request, name: 'two' })
    expect(statSync(kept).size).toBe(size)
  })

  test('what has the name stays unless it is to be replaced', async () => {
    await using room = await makeRoom()
    const mirror = await makeRepositories(room, leanSet)
    await mkdir(join(room.machines, 'taken/mine'), { recursive: true })
    const request = { mirror, name: 'taken' }
    await expect(create(room, request)).rejects.toMatchObject({
      code: 'IMAGE_EXISTS',
    })
    expect(readdirSync(join(room.machines, 'taken'))).toEqual(['mine'])
    await create(room, { ...request, existing: 'replace' })
    expect(existsSync(join(room.machines, 'taken/usr/bin/busybox'))).toBe(true)
    expect(readdirSync(room.machines)).toEqual(['taken'])
  })

  test.each([/pacman-key .*--init/, /Updating trust database/, /^installing tiny-shell/])(
    'given up at %s, it leaves no agent, no lock and no tree',
    async (moment) => {
      await using room = await makeRoom(true)
      const mirror = await makeRepositories(room, leanSet)
      const before = await leftOvers({ directories: [room.machines] })
      const controller = new AbortController()
      const log = (event: LogEvent) => {
        if (event.kind === 'output' && moment.test(event.line)) controller.abort()
      }
      // Command lines are in the log only.
      if (moment.source.startsWith('pacman-key')) setImmediate(() => controller.abort())
      await expect(create(room, { mirror }, log, controller.signal)).rejects.toMatchObject({
        code: 'CANCELED',
      })
      expect(readdirSync(room.machines)).toEqual([])
      expect(processesNaming(room.machines)).toEqual([])
      expect(await room.left(before)).toEqual([])
    },
  )

  test(
    'killed at any point it leaves a hidden name at most, which the next run takes away',
    { timeout: slow },
    async () => {
      await using room = await makeRoom()
      const mirror = await makeRepositories(room, leanSet)
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', room.machines, '--state-dir', room.state],
        ...['create', 'arch', 'killed', '--mirror', mirror, '--keyring', signer.keyring],
        '--no-cache',
      )
      const log = join(room.state, 'logs/create-killed.log')
      for (const moment of ['-Sy\n', 'installing filesystem', 'installing base']) {
        await rm(log, { force: true })
        const running = execa(program, args, { reject: false })
        while (running.exitCode === null || running.exitCode === undefined) {
          if (existsSync(log) && readFileSync(log, 'utf8').includes(moment)) break
          await sleep(2)
        }
        running.kill('SIGKILL')
        await running
        while (processesNaming(room.machines).length > 0) await sleep(10)
        // At the last moment it may have been done.
        const names = readdirSync(room.machines).filter((name) => !name.startsWith('.#'))
        expect(['', 'killed']).toContain(names.join())
        await rm(join(room.machines, 'killed'), { recursive: true, force: true })
      }
      await create(room, { mirror, name: 'next' })
      expect(readdirSync(room.machines)).toEqual(['next'])
    },
  )
})

interface Room extends AsyncDisposable {
  readonly path: string
  readonly machines: string
  readonly state: string
  context(log: LogSink, signal?: AbortSignal): Parameters<typeof createTree>[1]
  left(before: Set<string>): Promise<string[]>
}

/** @param fresh whether nothing that other tests have kept is there */
async function makeRoom(fresh = false): Promise<Room> {
  const directory = await temporaryDirectory()
  const { path } = directory
  // A keyring takes seconds to make; packages are kept apart by their mirrors.
  const [machines, state] = [join(path, 'machines'), join(fresh ? path : shared.path, 'state')]
  await mkdir(machines)
  return {
    path,
    machines,
    state,
    context: (log, signal) => ({
      machinesDirectory: machines,
      stateDirectory: state,
      cache: 'off',
      log,
      signal,
    }),
    left: (before) => newLeftOvers(before, { directories: [machines] }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

function full(request: Omit<TreeRequest, 'recipe'>): TreeRequest {
  return { recipe: 'arch', keyring: signer.keyring, ...request }
}

async function create(
  room: Room,
  request: Omit<TreeRequest, 'recipe'>,
  log: LogSink = silent,
  signal?: AbortSignal,
): Promise<CreatedTree> {
  return createTree(await planCreate(full(request), room.machines), room.context(log, signal))
}

/** @returns the mirror's directory */
async function makeRepositories(
  room: Room,
  packages: readonly string[],
  by: Signs | 'nobody' = signer,
  name = 'mirror',
): Promise<string> {
  const mirror = join(room.path, name)
  const signs = by === 'nobody' ? undefined : by
  const core = new PacmanRepository(join(mirror, 'core/os/x86_64'), 'core', signs)
  await core.add(...packages.map((one) => built.get(one)!))
  await new PacmanRepository(join(mirror, 'extra/os/x86_64'), 'extra', signs).add()
  return mirror
}

interface RepositoryServer extends WebServer {
  readonly core: string
  readonly routes: Record<string, Buffer | Responder>
  /** Serves what is in the repositories now. */
  refresh(): void
}

async function serveRepositories(
  room: Room,
  packages: readonly string[],
): Promise<RepositoryServer> {
  const mirror = await makeRepositories(room, packages)
  const routes: Record<string, Buffer | Responder> = {}
  const core = join(mirror, 'core/os/x86_64')
  const refresh = () => {
    for (const name of ['core', 'extra']) {
      const directory = join(mirror, name, 'os/x86_64')
      for (const path of readdirSync(directory))
        routes[`/${name}/os/x86_64/${path}`] = readFileSync(join(directory, path))
    }
  }
  refresh()
  return { ...(await serve(routes)), core, routes, refresh }
}

function packageRequests({ requests }: WebServer): string[] {
  return requests.map(({ url }) => url ?? '').filter((url) => url.endsWith('.pkg.tar.zst'))
}

function mirrorlist({ path }: CreatedTree): string {
  return readFileSync(join(path, 'etc/pacman.d/mirrorlist'), 'utf8')
}

/** Paths with kind and mode. */
async function listing({ path }: CreatedTree): Promise<string[]> {
  const { stdout } = await execa('find', ['.', '-printf', '%p %M\n'], { cwd: path })
  return stdout.split('\n').toSorted()
}

/** The tar that the distribution offers, of a tree without its keys. */
async function addImage(mirror: string, tree: string, by: Signs): Promise<void> {
  const directory = join(mirror, 'iso/latest')
  await mkdir(directory, { recursive: true })
  const image = join(directory, 'archlinux-bootstrap-x86_64.tar.zst')
  await writeFile(join(mirror, 'pkglist.x86_64.txt'), 'hello\n')
  await execa('tar', [
    ...['--zstd', '-cf', image, '--exclude=./etc/pacman.d/gnupg'],
    ...['--transform=s,^\\.,root.x86_64,', '-C', tree, '.'],
    ...['-C', mirror, 'pkglist.x86_64.txt'],
  ])
  await writeFile(`${image}.sig`, by.detach(await readFile(image)))
}
