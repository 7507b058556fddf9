/** openSUSE's recipes with the real zypper, on small signed mirrors that the tests make themselves. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import leap from '../../../recipes/opensuse-leap.ts'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreeManifest } from '../../../src/bootstrap/manifest.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import type { LogEvent } from '../../../src/log.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import {
  markerPath,
  rpmMirror,
  rpmMirrorNeeds,
  type RpmMirror,
  type RpmMirrorSpec,
  type RpmRepositorySpec,
  type RpmSpec,
} from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder } from '../../fixtures/web-server.ts'

const missing = lacks('root', 'user namespaces', 'program:zypper', 'program:rpm', ...rpmMirrorNeeds)

const slow = 300_000

const release = '15.6'

/** What the recipe installs, all of which the shell of the tests is. */
const names = [...leap.packageSets.minimal.include, 'openSUSE-release']

/** The distribution's own path of a repository. */
const pathOf = (id: string) =>
  leap.repositories.find((one) => one.id === id)!.path.replace('$releasever', release)

interface Published {
  /** Of the main repository. */
  readonly how?: Partial<RpmRepositorySpec>
  readonly updates?: readonly RpmSpec[]
  /** Another repository, at `own`. */
  readonly own?: RpmRepositorySpec
  readonly database?: RpmMirrorSpec['database']
}

/** A mirror with a system and these packages. */
function mirrorOf({ how, updates, own, database }: Published = {}): Promise<RpmMirror> {
  const plain = how === undefined && updates === undefined && own === undefined
  const wanted = plain ? packages : [hello]
  return rpmMirror({
    distribution: { id: 'opensuse-leap', version: release },
    provides: names,
    ...(database === undefined ? {} : { database }),
    repositories: {
      [pathOf('repo-oss')]: { packages: ['system', ...wanted], ...how },
      [pathOf('update-oss')]: { packages: updates ?? [] },
      [pathOf('update-sle')]: { packages: [] },
      [pathOf('update-backports')]: { packages: [] },
      ...(own === undefined ? {} : { own }),
    },
  })
}

interface Made extends Partial<TreeRequest> {
  readonly log?: (event: LogEvent) => void
  readonly state?: string
}

async function create(
  machinesDirectory: string,
  mirror: RpmMirror,
  { log, state, ...request }: Made = {},
): Promise<CreatedTree> {
  const whole: TreeRequest = {
    recipe: 'opensuse-leap',
    name: 'tree',
    release,
    mirror: mirror.path,
    keyring: mirror.keyring,
    ...request,
  }
  return createTree(await planCreate(whole, machinesDirectory), {
    machinesDirectory,
    stateDirectory: state ?? join(machinesDirectory, '.state'),
    log: log ?? (() => undefined),
    cache: 'off',
  })
}

/** The failure that it has to end with. */
async function failure(work: Promise<unknown>): Promise<NspawnError> {
  return work.then(
    () => expect.fail('it did not fail'),
    (error: unknown) => error as NspawnError,
  )
}

const packagesOf = (tree: CreatedTree) =>
  (JSON.parse(readFileSync(tree.manifest, 'utf8')) as TreeManifest).packages.map(
    ({ name, version }) => `${name}-${version}`,
  )

const system = [`tiny-release-${release}-1`, 'tiny-rpm-1.0-1', 'tiny-shell-1.0-1']

type Routes = Record<string, Buffer | string | Responder>

/** One of the files that the mirror serves. */
function fileOf(routes: Routes, part: string): string {
  return Object.keys(routes).find((path) => path.includes('repo/oss') && path.includes(part))!
}

function flip(routes: Routes, path: string): void {
  const content = Buffer.from(routes[path] as Buffer)
  content[content.length - 20]! ^= 1
  routes[path] = content
}

const hello = { name: 'hello', files: { '/usr/share/hello': 'hello\\\n' } }

/** What most of the tests install, on one mirror that is made once. */
const packages: readonly RpmSpec[] = [
  hello,
  { name: 'writer', requires: ['editor'], files: { '/usr/share/writer': '' } },
  { name: 'big', provides: ['editor'], files: { '/usr/share/big': '' } },
  { name: 'small', provides: ['editor'], files: { '/usr/share/small': '' } },
  { name: 'foe', conflicts: ['hello'], files: { '/usr/share/foe': '' } },
  { name: 'twin', files: { '/usr/share/hello': 'other\\\n' } },
  { name: 'lonely', requires: ['nowhere'], files: { '/usr/share/lonely': '' } },
  { name: 'huge', zeros: 400_000_000 },
  {
    name: 'sloppy',
    requires: ['tiny-shell'],
    files: { '/usr/share/sloppy': '' },
    scripts: { post: ['echo gone wrong', 'exit 3'] },
  },
  {
    name: 'strict',
    requires: ['tiny-shell'],
    files: { '/usr/share/strict': '' },
    scripts: { pre: ['exit 3'] },
  },
]

describe.skipIf(missing)('openSUSE with zypper', () => {
  test(
    'a tree is made, checked, entered, and has nothing of the host',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const mirror = await mirrorOf()
      const events: LogEvent[] = []
      const tree = await create(dir.path, mirror, {
        include: ['hello'],
        log: (event) => void events.push(event),
      })
      expect(tree).toMatchObject({ strategy: 'zypper', release, packages: 4 })
      expect(packagesOf(tree)).toEqual(['hello-1.0-1', ...system])
      // Scripts of packages saw devices and processes, and wrote to no file where a device should be.
      const { stdout } = await execa('chroot', [tree.path, 'cat', markerPath])
      expect(stdout.split('\n')).toEqual(['installed', 'null', 'proc'])
      expect(readdirSync(join(tree.path, 'dev'))).toEqual([])

      const inside = await execa('chroot', [tree.path, 'rpm', '-q', 'hello', 'gpg-pubkey'])
      expect(inside.stdout).toMatch(/^hello-1\.0-1\.noarch\ngpg-pubkey-\w+-\w+$/)
      // The database is where the distribution has it, and the host's zypper has left neither cache nor log.
      expect(readdirSync(join(tree.path, 'root'))).toEqual([])
      for (const path of ['var/cache', 'var/tmp', 'var/log/zypp', 'run'])
        expect(readdirSync(join(tree.path, path)), path).toEqual([])
      expect(
        (
          await execa('find', [
            tree.path,
            '-path',
            `*${dir.path}*`,
            '-mindepth',
            '1',
            '-path',
            `${tree.path}${dir.path}*`,
          ])
        ).stdout,
      ).toBe('')
      expect(existsSync(join(tree.path, 'etc/zypp/locks'))).toBe(false)

      const repository = readFileSync(join(tree.path, 'etc/zypp/repos.d/repo-oss.repo'), 'utf8')
      expect(repository).toContain(
        'https://download.opensuse.org/distribution/leap/$releasever/repo/oss\n',
      )
      expect(repository).not.toContain('gpgcheck=0')
      expect(events).toContainEqual(
        expect.objectContaining({
          kind: 'progress',
          text: 'installing hello-1.0-1.noarch',
          total: 4,
        }),
      )
      expect(await mine(before, dir.path)).toEqual([])
    },
  )

  test.skipIf(lacks('program:mmdebstrap'))(
    'an rpm of the tree that knows another database than the host’s has it all the same',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf({ database: { format: 'ndb' } })
      const tree = await create(dir.path, mirror, { include: ['hello'] })
      expect(packagesOf(tree)).toEqual(['hello-1.0-1', ...system])
      const database = join(tree.path, 'usr/lib/sysimage/rpm')
      expect(
        readdirSync(database)
          .filter((name) => !name.startsWith('.'))
          .toSorted(),
      ).toEqual(['Index.db', 'Packages.db'])
      const ask = ['rpm', '-q', 'hello', 'gpg-pubkey']
      const { stdout, stderr } = await execa('chroot', [tree.path, ...ask])
      expect(stdout).toMatch(/^hello-1\.0-1\.noarch\ngpg-pubkey-\w+-\w+$/)
      expect(stderr).toBe('')
      // openSUSE's rpm cannot read what the host's has written, and was never shown it.
      expect(readFileSync(tree.log, 'utf8')).not.toContain('Found SQLITE')
    },
  )

  test('updates are in it, unless they are left out', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const mirror = await mirrorOf({ updates: [{ ...hello, version: '2.0' }] })
    const include = ['hello']
    const current = await create(dir.path, mirror, { name: 'current', include })
    expect(packagesOf(current)).toContain('hello-2.0-1')
    const released = await create(dir.path, mirror, { name: 'released', include, updates: 'none' })
    expect(packagesOf(released)).toContain('hello-1.0-1')
    expect(readdirSync(join(released.path, 'etc/zypp/repos.d'))).toEqual(['repo-oss.repo'])
  })

  test(
    'what was fetched once is not fetched again, and is enough without the network',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf()
      await using server = await serve(mirror.routes())
      const made = { mirror: server.origin, include: ['hello'] }
      await create(dir.path, mirror, { ...made, name: 'one' })
      const asked = server.requests.length
      await create(dir.path, mirror, { ...made, name: 'two', include: ['hello', 'small'] })
      const again = server.requests.slice(asked).map(({ url }) => url)
      expect(again.length).toBeGreaterThan(0)
      expect(again.filter((url) => /\.rpm$|primary/.test(url ?? ''))).toEqual([
        expect.stringMatching(/small-1\.0\.noarch\.rpm$/),
      ])
      const total = server.requests.length
      const tree = await create(dir.path, mirror, { ...made, name: 'three', network: 'forbidden' })
      expect(packagesOf(tree)).toEqual(['hello-1.0-1', ...system])
      expect(server.requests.length).toBe(total)
    },
  )

  test(
    'an index that other keys vouched for is not trusted for being there',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf()
      await create(dir.path, mirror)
      const { strangersKeyring: keyring } = mirror
      const error = await failure(create(dir.path, mirror, { name: 'other', keyring }))
      expect(error.code).toBe('BOOTSTRAP_SIGNATURE')
    },
  )

  test(
    'a package that is left out is replaced by another, or it is told who needs it',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf()
      const include = ['writer']
      const tree = await create(dir.path, mirror, { include, exclude: ['big'] })
      expect(packagesOf(tree)).toEqual(['small-1.0-1', ...system, 'writer-1.0-1'])
      expect(existsSync(join(tree.path, 'etc/zypp/locks'))).toBe(false)
      const error = await failure(
        create(dir.path, mirror, { name: 'other', include, exclude: ['big', 'small'] }),
      )
      expect(error.code).toBe('BOOTSTRAP_PACKAGE')
      expect(error.message).toContain('requires editor')
    },
  )

  test('another repository counts too, if what is in it is signed', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    // Nobody has signed its index, so each package counts.
    const add = (packagesSignedBy: 'archive' | 'nobody') =>
      mirrorOf({
        own: {
          packages: [{ ...hello, version: '3.0' }],
          packagesSignedBy,
          metadataSignedBy: 'nobody',
        },
      })
    const good = await add('archive')
    const made = { include: ['hello'], repositories: [`own=${good.path}/own`] }
    expect(packagesOf(await create(dir.path, good, made))).toContain('hello-3.0-1')
    const bad = await add('nobody')
    const error = await failure(
      create(dir.path, bad, { ...made, name: 'bad', repositories: [`own=${bad.path}/own`] }),
    )
    expect(error.code).toBe('BOOTSTRAP_SIGNATURE')
    expect(readdirSync(dir.path)).not.toContain('bad')
  })

  test(
    'an unsigned mirror is taken only if that is asked for, with a warning',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf({
        how: { packagesSignedBy: 'nobody', metadataSignedBy: 'nobody' },
      })
      const error = await failure(create(dir.path, mirror))
      expect(error.code).toBe('BOOTSTRAP_SIGNATURE')
      expect(error.message).toContain("'repomd.xml'")
      const warnings: string[] = []
      const tree = await create(dir.path, mirror, {
        signatures: 'ignored',
        log: (event) => void (event.kind === 'warning' && warnings.push(event.text)),
      })
      expect(packagesOf(tree)).toEqual(system)
      expect(warnings).toEqual([
        expect.stringContaining('signatures of the archive are not checked'),
      ])
    },
  )

  /** What is wrong with the mirror, or with what is asked for, and what is told. */
  const bad: Readonly<
    Record<
      string,
      readonly [
        code: string,
        words: string | RegExp,
        {
          readonly how?: Partial<RpmRepositorySpec>
          readonly routes?: (routes: Routes) => void
          readonly made?: Made
        },
      ]
    >
  > = {
    'an index signed by somebody else': [
      'BOOTSTRAP_SIGNATURE',
      'stranger@example.org',
      { how: { metadataSignedBy: 'stranger' } },
    ],
    'an index changed after it was signed': [
      'BOOTSTRAP_SIGNATURE',
      'repomd.xml',
      { routes: (routes) => flip(routes, fileOf(routes, 'repomd.xml')) },
    ],
    'a list of packages that is not what was signed': [
      'BOOTSTRAP_CORRUPT',
      'primary.xml.gz',
      { routes: (routes) => flip(routes, fileOf(routes, 'primary.xml.gz')) },
    ],
    'a package that is not what was signed': [
      'BOOTSTRAP_CORRUPT',
      'tiny-shell',
      { routes: (routes) => flip(routes, fileOf(routes, 'tiny-shell')) },
    ],
    'a release that the mirror does not have': [
      'BOOTSTRAP_SUITE',
      'repo-oss',
      { routes: (routes) => void delete routes[fileOf(routes, 'repomd.xml')] },
    ],
    'a package that the mirror has lost': [
      'BOOTSTRAP_SUITE',
      'tiny-shell',
      { routes: (routes) => void delete routes[fileOf(routes, 'tiny-shell')] },
    ],
    'half a package': [
      'BOOTSTRAP_MIRROR',
      'tiny-shell',
      {
        routes: (routes) => {
          const bytes = routes[fileOf(routes, 'tiny-shell')] as Buffer
          routes[fileOf(routes, 'tiny-shell')] = (_request, response) => {
            response.writeHead(200, { 'content-length': bytes.length })
            response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
          }
        },
      },
    ],
    'half an index': [
      'BOOTSTRAP_MIRROR',
      'primary.xml.gz',
      {
        routes: (routes) => {
          const bytes = routes[fileOf(routes, 'primary.xml.gz')] as Buffer
          routes[fileOf(routes, 'primary.xml.gz')] = (_request, response) => {
            response.writeHead(200, { 'content-length': bytes.length })
            response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
          }
        },
      },
    ],
    'a mirror that is not there': [
      'BOOTSTRAP_MIRROR',
      '127.0.0.1 port 1',
      { made: { mirror: 'http://127.0.0.1:1' } },
    ],
    'packages that exclude each other': [
      'BOOTSTRAP_PACKAGE',
      'foe-1.0-1.noarch conflicts with hello',
      { made: { include: ['hello', 'foe'] } },
    ],
    'packages with the same file': [
      'BOOTSTRAP_PACKAGE',
      '/usr/share/hello',
      { made: { include: ['hello', 'twin'] } },
    ],
    'a package that needs what nobody has': [
      'BOOTSTRAP_PACKAGE',
      'nothing provides nowhere',
      { made: { include: ['lonely'] } },
    ],
    'a name that no package has': [
      'BOOTSTRAP_PACKAGE',
      /in the repositories: hallo[^]*hint: did you mean hello\?/,
      { made: { include: ['hallo'] } },
    ],
    'a script that fails after its package was installed': [
      'BOOTSTRAP_SCRIPT',
      '%post of sloppy-1.0-1.noarch failed',
      { made: { include: ['sloppy'] } },
    ],
    'a script that keeps its package from being installed': [
      'BOOTSTRAP_SCRIPT',
      'prein(strict',
      { made: { include: ['strict'] } },
    ],
  }

  test.each(Object.keys(bad))(
    '%s is told as such, and nothing is left',
    { timeout: slow },
    async (what) => {
      await using dir = await temporaryDirectory()
      const [code, words, { how, routes: change, made }] = bad[what]!
      const mirror = await mirrorOf(how === undefined ? {} : { how })
      const routes: Routes = mirror.routes()
      change?.(routes)
      await using server = await serve(routes)
      const error = await failure(create(dir.path, mirror, { mirror: server.origin, ...made }))
      expect(error.code).toBe(code)
      expect(describeError(error)).toMatch(words)
      expect(error.log).toBe(join(dir.path, '.state/logs/create-tree.log'))
      expect(readdirSync(dir.path)).toEqual(['.state'])
    },
  )

  test('a mirror that fails for a moment is asked again', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const mirror = await mirrorOf()
    const routes: Routes = mirror.routes()
    const index = fileOf(routes, 'repomd.xml')
    const content = routes[index] as Buffer
    let failures = 1
    routes[index] = (_request, response) =>
      failures-- > 0 ? void response.writeHead(503).end() : void response.end(content)
    await using server = await serve(routes)
    const warnings: string[] = []
    const tree = await create(dir.path, mirror, {
      mirror: server.origin,
      log: (event) => void (event.kind === 'warning' && warnings.push(event.text)),
    })
    expect(packagesOf(tree)).toEqual(system)
    expect(warnings).toEqual(['the mirror failed; it is asked again in 2 seconds'])
  })

  test(
    'killed while a mirror says nothing, what zypper keeps for the moment goes with it',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const mirror = await mirrorOf()
      const routes: Routes = mirror.routes()
      const path = fileOf(routes, 'tiny-shell')
      routes[path] = (_request, response) =>
        void response.writeHead(200, { 'content-length': 1_000_000 }).write('x')
      await using server = await serve(routes)
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', dir.path, '--state-dir', join(dir.path, '.state')],
        ...['create', 'opensuse-leap', 'tree', '--no-cache', '--release', release],
        ...['--mirror', server.origin, '--keyring', mirror.keyring],
      )
      const running = execa(program, args, { reject: false, buffer: false })
      try {
        const asked = () => server.requests.some(({ url }) => url === path)
        await expect.poll(asked, { timeout: 120_000 }).toBe(true)
        const zypper = processesNaming(dir.path).find(({ command }) =>
          command.startsWith('zypper '),
        )!
        const seen = readdirSync(`/proc/${zypper.pid}/root/var/tmp`)
        const own = seen.filter((name) => name.startsWith('zypp'))
        expect(own).not.toEqual([])
        const onHost = readdirSync('/var/tmp')
        expect(own.filter((name) => onHost.includes(name))).toEqual([])
      } finally {
        running.kill('SIGKILL')
        await running
      }
      await expect.poll(() => processesNaming(dir.path), { timeout: 20_000 }).toEqual([])
      await create(dir.path, mirror)
      expect(readdirSync(dir.path).toSorted()).toEqual(['.state', 'tree'])
    },
  )

  test('a disk that is full is told as such, and nothing is left', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const mirror = await mirrorOf()
    const machines = join(dir.path, 'm')
    await mkdir(machines)
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=340m', 'small', machines])
    try {
      const state = join(dir.path, 'state')
      const error = await failure(create(machines, mirror, { include: ['huge'], state }))
      expect(error.code).toBe('ENOSPC')
      expect(readdirSync(machines)).toEqual([])
    } finally {
      await execa('umount', [machines])
    }
  })

  test('a tree is replaced only by one that is whole', { timeout: slow }, async () => {
    await using dir = await temporaryDirectory()
    const mirror = await mirrorOf()
    const first = await create(dir.path, mirror)
    const existing = 'replace'
    const error = await failure(create(dir.path, mirror, { include: ['hallo'], existing }))
    expect(error.code).toBe('BOOTSTRAP_PACKAGE')
    expect(packagesOf(first)).toEqual(system)
    await create(dir.path, mirror, { include: ['hello'], existing })
    const { stdout } = await execa('chroot', [first.path, 'rpm', '-q', 'hello'])
    expect(stdout).toBe('hello-1.0-1.noarch')
    expect(readdirSync(dir.path).toSorted()).toEqual(['.state', 'tree'])
  })

  test.each(['Retrieving repository', 'Retrieving package', '(2/'])(
    'nothing runs on when the program is killed at "%s", and the next run removes what it left',
    { timeout: slow },
    async (moment) => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const mirror = await mirrorOf()
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', dir.path, '--state-dir', join(dir.path, '.state')],
        ...['create', 'opensuse-leap', 'tree', '--no-cache', '--release', release],
        ...['--mirror', mirror.path, '--keyring', mirror.keyring],
      )
      const running = execa(program, args, { reject: false, buffer: false })
      const log = join(dir.path, '.state/logs/create-tree.log')
      const reached = () => existsSync(log) && readFileSync(log, 'utf8').includes(moment)
      await expect.poll(reached, { timeout: 120_000, interval: 5 }).toBe(true)
      running.kill('SIGKILL')
      await running
      await expect.poll(() => processesNaming(dir.path), { timeout: 20_000 }).toEqual([])
      expect(existsSync(join(dir.path, 'tree'))).toBe(false)
      await create(dir.path, mirror)
      expect(readdirSync(dir.path).toSorted()).toEqual(['.state', 'tree'])
      expect(await mine(before, dir.path)).toEqual([])
    },
  )
})

async function mine(before: Set<string>, directory: string): Promise<string[]> {
  const found = await newLeftOvers(before, { directories: [directory] })
  return found.filter((line) => line.includes(directory))
}
