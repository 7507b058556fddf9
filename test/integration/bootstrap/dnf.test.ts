/** Trees of the rpm family made for real by dnf, from small mirrors that are signed by the test. */
import { execa } from 'execa'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import fedora from '../../../recipes/fedora.ts'
import rocky from '../../../recipes/rockylinux.ts'
import { createTree, planCreate, type CreatedTree } from '../../../src/bootstrap/create.ts'
import type { TreeManifest } from '../../../src/bootstrap/manifest.ts'
import type { TreeRequest } from '../../../src/bootstrap/plan.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { rpm } from '../../../src/bootstrap/families/rpm.ts'
import { findDatabase } from '../../../src/bootstrap/rpm/database.ts'
import { databaseMacros, queryEnvironment } from '../../../src/bootstrap/rpm/home.ts'
import { TreeFiles } from '../../../src/bootstrap/tree-files.ts'
import { treeInMaking } from '../../fixtures/tree-in-making.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import type { NspawnError } from '../../../src/errors.ts'
import { findProgram } from '../../../src/find-program.ts'
import { silent, type LogEvent } from '../../../src/log.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { processesNaming } from '../../fixtures/processes.ts'
import { lacks } from '../../fixtures/requires.ts'
import {
  markerPath,
  rpmMirror,
  rpmMirrorNeeds,
  type RpmMirror,
  type RpmMirrorSpec,
  type RpmSpec,
} from '../../fixtures/rpm-repository.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve, type Responder } from '../../fixtures/web-server.ts'

const slow = 240_000

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const base = `releases/43/Everything/${architecture}/os`
const updates = `updates/43/Everything/${architecture}`

/** A package with one file, which names it. */
function plain(name: string, more: Partial<RpmSpec> = {}): RpmSpec {
  return { name, files: { [`/usr/share/${name}`]: `${name}\n` }, ...more }
}

const spec: RpmMirrorSpec = {
  distribution: { id: 'fedora', version: '43' },
  provides: [
    ...fedora.packageSets.minimal.include,
    ...['fedora-release', 'dnf5-plugins', 'gcc-stand-in'],
  ],
  repositories: {
    [base]: {
      packages: [
        'system',
        plain('tool', { version: '1' }),
        plain('needy', { requires: ['nobody-has-this'] }),
        plain('quarrel', { conflicts: ['tool'] }),
        plain('stumbles', { scripts: { post: ['echo oh no', 'exit 3'] }, requires: ['/bin/sh'] }),
        plain('refuses', { scripts: { pre: ['exit 4'] }, requires: ['/bin/sh'] }),
        plain('sleeps', { scripts: { post: ['sleep 61234'] }, requires: ['/bin/sh'] }),
        plain('big', { noise: 3_000_000 }),
      ],
      groups: { 'buildsys-build': ['tool'] },
    },
    [updates]: { packages: [plain('tool', { version: '2' })] },
  },
}

interface MoreContext {
  readonly signal?: AbortSignal
  readonly log?: (event: LogEvent) => void
  /** Name of another directory for caches and logs. */
  readonly state?: string
}

async function createWith(
  via: string,
  directory: string,
  mirror: RpmMirror,
  request: Partial<TreeRequest>,
  more: MoreContext = {},
): Promise<CreatedTree> {
  const machinesDirectory = join(directory, 'machines')
  const whole = {
    recipe: 'fedora',
    name: 'tree',
    via,
    mirror: mirror.path,
    keyring: mirror.keyring,
    ...request,
  }
  return createTree(await planCreate(whole, machinesDirectory), {
    machinesDirectory,
    cache: 'off',
    stateDirectory: join(directory, more.state ?? 'state'),
    log: more.log ?? silent,
    signal: more.signal,
  })
}

const missing = lacks('root', 'program:dnf', 'program:rpm', ...rpmMirrorNeeds)

/** Version 5 is not in every distribution that has version 4, so it is no failure to lack it. */
const programs = (['dnf', 'dnf5'] as const).filter(
  (program) => program === 'dnf' || findProgram(program) !== undefined,
)

describe.skipIf(missing).each(programs)('create fedora with %s', (via) => {
  const create = (
    directory: string,
    mirror: RpmMirror,
    request: Partial<TreeRequest>,
    more?: MoreContext,
  ) => createWith(via, directory, mirror, request, more)

  let mirror: RpmMirror
  beforeAll(async () => {
    mirror = await rpmMirror(spec)
  }, slow)

  test(
    'a tree runs, its scripts found what they need, and nothing of the host or of dnf is in it',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const host = hostState()
      const made = await create(dir.path, mirror, {
        customize: { words: { rootPassword: '$6$a$b' }, directory: dir.path },
      })
      const inTree = (path: string) => join(made.path, path)
      expect(made).toMatchObject({ release: '43', architecture: 'x86-64', strategy: via })
      expect(readFileSync(inTree(markerPath), 'utf8')).toBe('installed\nnull\nproc\n')
      expect(readdirSync(inTree('dev'))).toEqual([])
      const { stdout } = await execa('chroot', [made.path, 'rpm', '-qa', '--qf', '%{NAME}\\n'])
      expect(stdout.split('\n').filter((name) => name !== 'gpg-pubkey')).toHaveLength(made.packages)
      expect(readdirSync(inTree('usr/lib/sysimage/rpm'))).toContain('rpmdb.sqlite')
      expect(readdirSync(inTree('root'))).toEqual([])
      expect(readdirSync(inTree('var/log'))).toEqual([])
      expect(readdirSync(inTree('var/cache'))).toEqual([])
      for (const name of ['tmp', 'var/tmp'])
        expect(statSync(inTree(name)).mode & 0o7777).toBe(0o1777)
      expect(statSync(made.path).mode & 0o7777).toBe(0o755)
      expect(readFileSync(inTree('etc/shadow'), 'utf8')).toContain('root:$6$a$b:')
      expect(readFileSync(inTree('etc/locale.conf'), 'utf8')).toBe('LANG=C.UTF-8\n')
      expect(existsSync(inTree('etc/default'))).toBe(false)
      const manifest = JSON.parse(readFileSync(made.manifest, 'utf8')) as TreeManifest
      expect(manifest.packages.map(({ name }) => name)).toEqual([
        'tiny-release',
        'tiny-rpm',
        'tiny-shell',
      ])
      expect(manifest.tools[via]).toMatch(via === 'dnf' ? /^4\./ : /^5\./)
      expect(await mine(before, dir.path)).toEqual([])
      expect(hostState()).toEqual(host)
    },
  )

  test(
    'a build tree has the group of build packages, and updates where they are not left out',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const versions = []
      for (const which of ['all', 'none'] as const) {
        const request = { variant: 'build', updates: which, name: which } as const
        const made = await create(dir.path, mirror, request)
        versions.push(await installed(made, 'tool'))
      }
      expect(versions).toEqual(['2-1', '1-1'])
    },
  )

  test(
    'a second tree fetches no package again, and needs no mirror when told so',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      await using server = await serve(mirror.routes())
      const request = { mirror: server.origin }
      await create(dir.path, mirror, { ...request, name: 'one' })
      const fetched = () =>
        server.requests.map(({ url }) => url!).filter((url) => url.endsWith('.rpm'))
      expect(fetched()).toHaveLength(3)
      await create(dir.path, mirror, { ...request, name: 'two' })
      expect(fetched()).toHaveLength(3)
      const asked = server.requests.length
      const offline = { ...request, network: 'forbidden' } as const
      const made = await create(dir.path, mirror, { ...offline, name: 'three' })
      expect(made.packages).toBe(3)
      const more = { ...offline, name: 'four', include: ['big'] }
      await expect(create(dir.path, mirror, more)).rejects.toMatchObject({
        code: 'BOOTSTRAP_OFFLINE',
      })
      const fresh = create(dir.path, mirror, { ...offline, name: 'five' }, { state: 'other' })
      await expect(fresh).rejects.toMatchObject({ code: 'BOOTSTRAP_OFFLINE' })
      expect(server.requests).toHaveLength(asked)
    },
  )

  test(
    'an existing tree stays as it is until the new one is whole',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const path = join(dir.path, 'machines/tree')
      await mkdir(path, { recursive: true })
      await writeFile(join(path, 'mine'), '')
      await expect(create(dir.path, mirror, {})).rejects.toMatchObject({ code: 'IMAGE_EXISTS' })
      const bad = { existing: 'replace', include: ['stumbles'] } as const
      await expect(create(dir.path, mirror, bad)).rejects.toMatchObject({
        code: 'BOOTSTRAP_SCRIPT',
      })
      expect(readdirSync(path)).toEqual(['mine'])
      await create(dir.path, mirror, { existing: 'replace' })
      expect(existsSync(join(path, 'mine'))).toBe(false)
      expect(existsSync(join(path, 'usr/bin/rpm'))).toBe(true)
      expect(readdirSync(join(dir.path, 'machines'))).toEqual(['tree'])
    },
  )

  test('a package that nobody has is told with those that were meant', async () => {
    await using dir = await temporaryDirectory()
    const include = ['toool', 'quarel', 'unlike-any']
    await expect(create(dir.path, mirror, { include })).rejects.toMatchObject({
      code: 'BOOTSTRAP_PACKAGE',
      message: expect.stringMatching(/not in the repositories: toool, quarel, unlike-any$/),
      hint: 'did you mean tool, quarrel?',
    })
  })

  test.each<[string, string, string, Partial<TreeRequest>]>([
    [
      'a package that nobody has',
      'BOOTSTRAP_PACKAGE',
      'no-such-thing',
      { include: ['no-such-thing'] },
    ],
    [
      'a group that nobody has',
      'BOOTSTRAP_PACKAGE',
      'no-such-group',
      { include: ['@no-such-group'] },
    ],
    [
      'a dependency that nobody has',
      'BOOTSTRAP_PACKAGE',
      'nobody-has-this',
      { include: ['needy'] },
    ],
    [
      'packages that exclude each other',
      'BOOTSTRAP_PACKAGE',
      'quarrel',
      { include: ['quarrel', 'tool'] },
    ],
    [
      'something left out that others need',
      'BOOTSTRAP_PACKAGE',
      'tiny-release',
      { exclude: ['tiny-release'] },
    ],
    ['a %post that fails', 'BOOTSTRAP_SCRIPT', '%post of stumbles-', { include: ['stumbles'] }],
    ['a %pre that fails', 'BOOTSTRAP_SCRIPT', 'refuses', { include: ['refuses'] }],
    ['a release that the mirror lacks', 'BOOTSTRAP_', 'repomd.xml', { release: '99' }],
    [
      'a mirror that is not there',
      'BOOTSTRAP_MIRROR',
      '127.0.0.1',
      { mirror: 'http://127.0.0.1:1' },
    ],
  ])(
    '%s is told as such, and nothing is left',
    { timeout: slow },
    async (_what, code, word, request) => {
      await using dir = await temporaryDirectory()
      const run = create(dir.path, mirror, { updates: 'none', ...request })
      await expect(run).rejects.toMatchObject({
        code: expect.stringMatching(code),
        message: expect.stringContaining(word),
        log: join(dir.path, 'state/logs/create-tree.log'),
      })
      expect(readdirSync(join(dir.path, 'machines'))).toEqual([])
    },
  )

  test(
    'unsigned packages and those of somebody else are refused, unless nobody is to check',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const unsigned = await rpmMirror({
        ...spec,
        repositories: { [base]: { packages: ['system'], packagesSignedBy: 'nobody' } },
      })
      const request = { updates: 'none' } as const
      const wanted = { code: 'BOOTSTRAP_SIGNATURE' }
      await expect(create(dir.path, unsigned, request)).rejects.toMatchObject(wanted)
      const keyring = mirror.strangersKeyring
      await expect(create(dir.path, mirror, { ...request, keyring })).rejects.toMatchObject(wanted)
      expect(readdirSync(join(dir.path, 'machines'))).toEqual([])
      const events: LogEvent[] = []
      const log = (event: LogEvent) => void events.push(event)
      await create(dir.path, unsigned, { ...request, signatures: 'ignored' }, { log })
      expect(events.find(({ kind }) => kind === 'warning')).toMatchObject({
        text: expect.stringContaining('signatures of the archive are not checked'),
      })
    },
  )

  test(
    'a key that has expired is refused before anything is fetched',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      using late = makeGpgSigner(dir.path, 'late', 'expired')
      await expect(create(dir.path, mirror, { keyring: late.keyring })).rejects.toMatchObject({
        code: 'BOOTSTRAP_SIGNATURE',
        message: expect.stringContaining('has expired'),
      })
    },
  )

  const isIndex = (path: string) => path.startsWith(`/${base}/`) && path.includes('primary.xml')
  const shell = () => Object.keys(mirror.routes()).find((path) => /tiny-shell.*\.rpm$/.test(path))!

  test.each<[string, string, (routes: Record<string, Buffer | Responder>) => void]>([
    [
      'a package with one byte flipped',
      'BOOTSTRAP_CORRUPT',
      (routes) => {
        const bytes = Buffer.from(routes[shell()] as Buffer)
        bytes[bytes.length - 100]! ^= 1
        routes[shell()] = bytes
      },
    ],
    [
      'half a package',
      'BOOTSTRAP_(CORRUPT|MIRROR)',
      (routes) => {
        const bytes = routes[shell()] as Buffer
        routes[shell()] = (_request, response) => {
          response.writeHead(200, { 'content-length': bytes.length })
          response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy())
        }
      },
    ],
    [
      'a package that is not there',
      'BOOTSTRAP_SUITE',
      (routes) => {
        delete routes[shell()]
      },
    ],
    [
      'an index that is not there',
      'BOOTSTRAP_SUITE',
      (routes) => {
        delete routes[`/${base}/repodata/repomd.xml`]
      },
    ],
    [
      'an index with one byte flipped',
      'BOOTSTRAP_CORRUPT',
      (routes) => {
        const path = Object.keys(routes).find(isIndex)!
        const bytes = Buffer.from(routes[path] as Buffer)
        bytes[bytes.length >> 1]! ^= 1
        routes[path] = bytes
      },
    ],
    [
      'a mirror that falls silent',
      'BOOTSTRAP_MIRROR',
      (routes) => {
        routes[shell()] = (_request, response) =>
          void response.writeHead(200, { 'content-length': 1_000_000 }).write('x')
      },
    ],
  ])('%s ends the making, and nothing is left', { timeout: slow }, async (_what, code, spoil) => {
    await using dir = await temporaryDirectory()
    const routes: Record<string, Buffer | Responder> = mirror.routes()
    spoil(routes)
    await using server = await serve(routes)
    const run = create(dir.path, mirror, { mirror: server.origin, updates: 'none' })
    await expect(run).rejects.toMatchObject({ code: expect.stringMatching(code) })
    expect(readdirSync(join(dir.path, 'machines'))).toEqual([])
  })

  test(
    'canceled in the middle of a script, dnf is dead and nothing is left',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const before = await leftOvers({ directories: [dir.path] })
      const controller = new AbortController()
      const run = create(dir.path, mirror, { include: ['sleeps'] }, { signal: controller.signal })
      const ended = run.then(
        () => 'made',
        (error: unknown) => (error as NspawnError).code,
      )
      await expect.poll(() => processesNaming('sleep 61234').length, { timeout: 60_000 }).toBe(1)
      controller.abort()
      expect(await ended).toBe('CANCELED')
      expect(processesNaming(dir.path)).toEqual([])
      expect(processesNaming('sleep 61234')).toEqual([])
      expect(readdirSync(join(dir.path, 'machines'))).toEqual([])
      expect(await mine(before, dir.path)).toEqual([])
    },
  )

  test.each(['while an index comes', 'while a package comes', 'in a script'])(
    'killed %s, nothing half-made has the name, and the next run makes it',
    { timeout: slow },
    async (when) => {
      await using dir = await temporaryDirectory()
      const routes: Record<string, Buffer | Responder> = mirror.routes()
      const index = Object.keys(routes).find(isIndex)!
      const stall: Responder = (_request, response) =>
        void response.writeHead(200, { 'content-length': 1_000_000 }).write('x')
      const path = when === 'while an index comes' ? index : shell()
      if (when !== 'in a script') routes[path] = stall
      await using server = await serve(routes)
      const [program, ...args] = tsnspawnBuild(
        ...['--machines-dir', join(dir.path, 'machines'), '--state-dir', join(dir.path, 'state')],
        ...['create', 'fedora', 'tree', '--via', via, '--release', '43', '--no-updates'],
        ...['--mirror', server.origin, '--keyring', mirror.keyring, '--include', 'sleeps'],
      )
      const running = execa(program, args, { reject: false, buffer: false })
      const there = () =>
        when === 'in a script'
          ? processesNaming('sleep 61234').length > 0
          : server.requests.some(({ url }) => url === path)
      try {
        await expect.poll(there, { timeout: 60_000 }).toBe(true)
      } finally {
        running.kill('SIGKILL')
        await running
      }
      // The kernel ends what was started, a moment later.
      const others = () => processesNaming(dir.path).length + processesNaming('sleep 61234').length
      await expect.poll(others, { timeout: 60_000 }).toBe(0)
      const machines = join(dir.path, 'machines')
      expect(readdirSync(machines).filter((name) => !name.startsWith('.#'))).toEqual([])
      await create(dir.path, mirror, {})
      expect(readdirSync(machines)).toEqual(['tree'])
    },
  )

  test(
    'the minor release of a tree is its own affair, and its database lies where its rpm looks',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const el = await rpmMirror({
        distribution: { id: 'rocky', version: '9.6' },
        provides: rocky.packageSets.minimal.include,
        database: { path: '/var/lib/rpm' },
        repositories: {
          [`9/BaseOS/${architecture}/os`]: { packages: ['system'] },
          [`9/AppStream/${architecture}/os`]: { packages: [plain('tool')] },
        },
      })
      const request = { recipe: 'rockylinux', release: '9', include: ['tool'], keyring: el.keyring }
      const made = await create(dir.path, el, request)
      expect(made.packages).toBe(4)
      expect(readdirSync(join(made.path, 'var/lib/rpm'))).toContain('rpmdb.sqlite')
      expect(existsSync(join(made.path, 'usr/lib/sysimage/rpm'))).toBe(false)
    },
  )
})

describe.skipIf(missing)('the database of an rpm tree', () => {
  let mirror: RpmMirror
  beforeAll(async () => {
    mirror = await rpmMirror(spec)
  }, slow)

  test(
    'is read by the rpm of the host where the tree has none, and tells of a broken update',
    { timeout: slow },
    async () => {
      await using dir = await temporaryDirectory()
      const request = { updates: 'none', include: ['tool'] } as const
      const { path } = await createWith('dnf', dir.path, mirror, request)
      const files = new TreeFiles(path)
      const tree = treeInMaking(path)
      const names = async () => (await rpm.installedPackages(tree, files))!.map(({ name }) => name)
      const all = ['tiny-release', 'tiny-rpm', 'tiny-shell', 'tool']
      expect(await names()).toEqual(all)
      expect(findDatabase(files)).toEqual({ path: '/usr/lib/sysimage/rpm', format: 'sqlite' })
      files.remove('/usr/bin/rpm')
      expect(await names()).toEqual(all)
      expect(readdirSync(join(path, 'root'))).toEqual([])

      await expect(rpm.installUpdates(tree, files, {} as never)).rejects.toMatchObject({
        message: expect.stringContaining('no package manager'),
      })
      const newer = join(mirror.path, updates, 'tool-2.noarch.rpm')
      const macros = databaseMacros('/usr/lib/sysimage/rpm', 'sqlite').flatMap((one) => [
        '--define',
        one,
      ])
      const options = [...macros, '--root', path, '-i', '--force', '--nodeps']
      await execa('rpm', [...options, newer], { env: queryEnvironment })
      await expect(names()).rejects.toMatchObject({
        code: 'BOOTSTRAP_VERIFY',
        message: expect.stringContaining('tool.noarch'),
      })
    },
  )
})

async function installed({ path }: CreatedTree, name: string): Promise<string> {
  const { stdout } = await execa('chroot', [
    path,
    'rpm',
    '-q',
    '--qf',
    '%{VERSION}-%{RELEASE}',
    name,
  ])
  return stdout
}

/** What dnf and rpm would write on the host if they were let. */
function hostState(): unknown {
  const paths = ['/var/lib/dnf', '/var/cache/dnf', '/var/log', '/root', '/var/lib/rpm']
  return paths.map((path) => {
    const names = existsSync(path) ? readdirSync(path) : []
    return names
      .filter((name) => /dnf|hawkey|rpm|history|\.solv/.test(name))
      .map((name) => [path, name, statSync(join(path, name)).size])
  })
}

/** What is new since `before`, but for what other work on this machine made on this machine. */
async function mine(before: Set<string>, directory: string): Promise<string[]> {
  const found = await newLeftOvers(before, { directories: [directory] })
  return found.filter((line) => line.includes(directory) || /gpg-agent|\bdnf\b/.test(line))
}
