/** Whole builds of PKGBUILDs, by the real makepkg and pacman, in containers. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { cp, lstat, mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { archDriver, buildArch, type ArchBuild } from '../../../src/build/arch/driver.ts'
import { buildable } from '../../../src/build/buildable.ts'
import { planBuild } from '../../../src/build/plan-build.ts'
import type { BuildRecord } from '../../../src/build/record.ts'
import { buildTwice } from '../../../src/build/reproducible/build-twice.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import type { LogEvent } from '../../../src/log.ts'
import {
  makeArchBuildTree,
  makePkgbuild,
  type ArchBuildTree,
} from '../../fixtures/arch-build-tree.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import type { PacmanPackageSpec } from '../../fixtures/pacman-repository.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { lacks } from '../../fixtures/requires.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const missing = lacks(
  'root',
  'user namespaces',
  'overlay',
  'program:pacman',
  'program:makepkg',
  'program:bsdtar',
  'program:gpg',
  'program:busybox',
  'program:fakeroot',
  'program:curl',
  'program:git',
  'program:strip',
)

/** In the repository, and not in the tree. */
const packages: readonly PacmanPackageSpec[] = [
  { name: 'bash' },
  { name: 'greeter', files: { 'usr/share/greeting': 'hello\n' } },
  {
    name: 'git',
    architecture: 'x86_64',
    programs: ['git'],
    librariesOf: ['pacman', 'gpg', 'curl', 'strip', 'grep', 'bsdtar'],
    links: { 'usr/bin/git-upload-pack': 'git' },
  },
  { name: 'prover', version: '3', files: { 'usr/share/proof': 'proven\n' } },
  // A stand-in that finds a fault with every package: the real one needs a Python of Arch.
  {
    name: 'namcap',
    files: {
      'usr/bin/namcap': '#!/bin/sh\nshift\nfor file; do echo "tiny E: Missing $file"; done\n',
    },
    install: 'post_install() { chmod 755 /usr/bin/namcap; }\n',
  },
]

describe.skipIf(missing)('an Arch build', { timeout: 300_000 }, () => {
  let shared: TemporaryDirectory
  let tree: ArchBuildTree
  // Layers are shared by the tests, as by the builds of a machine.
  let state: string
  beforeAll(async () => {
    shared = await temporaryDirectory()
    tree = await makeArchBuildTree(shared.path, packages)
    state = join(shared.path, 'state')
  }, 300_000)
  afterAll(async () => {
    // It is missing where its making has failed.
    await (tree as ArchBuildTree | undefined)?.[Symbol.asyncDispose]()
    await shared[Symbol.asyncDispose]()
  })

  interface Change extends Partial<Omit<ArchBuild, 'options'>> {
    readonly options?: Partial<ArchBuild['options']>
  }

  function request(work: string, source: string, change: Change = {}): ArchBuild {
    const { options, ...rest } = change
    return {
      tree: tree.path,
      source,
      keyrings: [],
      outputDirectory: join(work, 'out'),
      stateDirectory: state,
      ...rest,
      options: {
        jobs: 3,
        network: 'none',
        environment: {},
        check: true,
        sourcePackage: false,
        namcap: false,
        installCheck: false,
        ...options,
      },
    }
  }

  /** Runs a build; its events are kept. */
  function build(work: string, source: string, change: Change = {}) {
    const events: LogEvent[] = []
    const log = (event: LogEvent) => void events.push(event)
    return { result: buildArch(request(work, source, { log, ...change })), events }
  }

  const failureOf = async (result: Promise<unknown>): Promise<NspawnError> =>
    result.then(
      () => Promise.reject(new Error('the build succeeded')),
      (error: unknown) => error as NspawnError,
    )

  const readRecord = async (work: string) =>
    JSON.parse(await readFile(join(work, 'out/build.json'), 'utf8')) as BuildRecord

  /** A file of a package in the output directory. */
  const shipped = async (work: string, file: string, path: string) =>
    (await execa('bsdtar', ['-xOf', join(work, 'out', file), path])).stdout

  const leftInState = async () => {
    const [builds, layers] = await Promise.all(
      ['builds', 'layers'].map((name) => readdir(join(state, name))),
    )
    return [...(builds ?? []), ...(layers ?? []).filter((name) => !/^[0-9a-f]{40}$/.test(name))]
  }

  /** A package in one function. */
  const tiny = (...lines: readonly string[]) => [
    ...['pkgname=tiny', 'pkgver=1', 'pkgrel=1', 'arch=(any)', 'options=(!strip !debug)'],
    ...lines,
    ...(lines.some((line) => line.startsWith('package()')) ? [] : ['package() { :; }']),
  ]
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

  describe('of split packages with sources, tests and dependencies', () => {
    const tarball = 'from afar\n'
    const requests = (name: string) =>
      tree.server.requests.filter(({ url }) => url?.includes(name)).length
    const seen = [
      'id -u >"$srcdir/uid-$1"',
      'ls /sys/class/net >"$srcdir/links-$1"',
      '(exec 3<>/dev/tcp/1.1.1.1/80) 2>"$srcdir/far-$1" || true',
      '(exec 3<>"/dev/tcp/127.0.0.1/$(cat "$srcdir/port")") 2>"$srcdir/near-$1" || true',
      '(echo evil >/usr/bin/makepkg) 2>"$srcdir/usr-$1" || true',
    ]
    let source: string
    beforeAll(async () => {
      tree.routes['/files/data.txt'] = tarball
      source = await makePkgbuild(
        join(shared.path, 'pair'),
        [
          'pkgbase=pair',
          'pkgname=(pair-one pair-two)',
          'pkgver=1.5',
          'pkgrel=2',
          'epoch=1',
          'arch=(any)',
          'makedepends=(greeter)',
          'checkdepends=("prover>=2")',
          'options=(!strip !debug)',
          `source=(port "data.txt::${tree.server.origin}/files/data.txt")`,
          `sha256sums=(SKIP ${sha256(tarball)})`,
          `look() { ${seen.join('; ')}; }`,
          'prepare() { look prepare; : >>data.txt; }',
          'build() { look build; cp /usr/share/greeting greeting; env | grep -v ^container | sort >env; }',
          'check() { [[ $(</usr/share/proof) == proven ]]; echo "the check ran"; }',
          'package_pair-one() { depends=(greeter); install -Dm644 -t "$pkgdir/usr/share/pair" *; }',
          'package_pair-two() { install -Dm644 data.txt "$pkgdir/usr/share/pair-two"; }',
        ],
        { port: new URL(tree.server.origin).port },
      )
      await mkdir(join(source, '.git'))
      await writeFile(join(source, '.git/HEAD'), 'ref: x\n')
    })
    const files = [
      'pair-1:1.5-2-x86_64-build.log',
      'pair-1:1.5-2-x86_64-check.log',
      'pair-1:1.5-2-x86_64-package_pair-one.log',
      'pair-1:1.5-2-x86_64-package_pair-two.log',
      'pair-1:1.5-2-x86_64-prepare.log',
      'pair-1:1.5-2.src.tar.gz',
      'pair-one-1:1.5-2-any.pkg.tar.gz',
      'pair-two-1:1.5-2-any.pkg.tar.gz',
    ] as const

    test('gives them all, built by a nobody without a network, and a second time at once and the same', async () => {
      await using work = await temporaryDirectory()
      const scope = { machines: ['build-'], directories: [work.path] }
      const before = await leftOvers(scope)
      const options = { sourcePackage: true, installCheck: true, packager: 'Ann <ann@example.org>' }
      const { result, events } = build(work.path, source, { options })
      const done = await result
      expect(done).toMatchObject({ name: 'pair', version: '1:1.5-2' })
      expect(done.files.map((path) => path.slice(work.path.length + '/out/'.length))).toEqual(files)
      const inOne = (name: string) => shipped(work.path, files[6], `usr/share/pair/${name}`)
      for (const where of ['prepare', 'build']) {
        expect(await inOne(`uid-${where}`)).toBe('2000')
        expect(await inOne(`links-${where}`)).toBe('lo')
        expect(await inOne(`far-${where}`)).toContain('Network is unreachable')
        expect(await inOne(`near-${where}`)).toContain('Connection refused')
        expect(await inOne(`usr-${where}`)).toContain('Permission denied')
      }
      expect(await inOne('greeting')).toBe('hello')
      const environment = (await inOne('env')).split('\n')
      const { mtimeMs } = await stat(join(source, 'PKGBUILD'))
      for (const variable of [
        'HOME=/build',
        'USER=builder',
        'LC_ALL=C.UTF-8',
        'MAKEFLAGS=-j3',
        'BUILDTOOL=tsnspawn-build',
        `SOURCE_DATE_EPOCH=${Math.floor(mtimeMs / 1000)}`,
      ])
        expect(environment).toContain(variable)
      expect(environment.filter((line) => line.includes(work.path))).toEqual([])
      const info = await shipped(work.path, files[7], '.PKGINFO')
      expect(info).toContain('packager = Ann <ann@example.org>')
      expect(info).toContain(`builddate = ${Math.floor(mtimeMs / 1000)}`)
      expect(await shipped(work.path, files[7], 'usr/share/pair-two')).toBe('from afar')
      const log = await readFile(join(work.path, 'out', files[1]), 'utf8')
      expect(log).toContain('the check ran')
      expect(done.record).toMatchObject({
        driver: 'arch',
        result: 'succeeded',
        source: { name: 'pair', origin: source, packages: ['pair-one', 'pair-two'], files: 2 },
      })
      expect(done.record.packages).toContainEqual({
        name: 'prover',
        version: '3-1',
        architecture: 'any',
      })
      expect(done.record.steps.map(({ id, user, network }) => `${id} ${user} ${network}`)).toEqual([
        'update root host',
        'upgrade root host',
        'install root host',
        'printsrcinfo builder loopback',
        'deptest builder loopback',
        'dependencies root host',
        'verifysource builder host',
        'build builder loopback',
        'source-package builder loopback',
        'look builder loopback',
        'install-check root host',
      ])
      const phases = events.flatMap((event) =>
        event.kind === 'phase' && event.state === 'end' ? [event.phase] : [],
      )
      expect(phases).toEqual([
        ...['fetch', 'dependencies', 'unpack', 'build', 'collect'],
        'inspect',
      ])
      for (const path of ['usr/share/greeting', 'build', 'startdir', 'etc/tsnspawn-build'])
        await expect(lstat(join(tree.path, path))).rejects.toMatchObject({ code: 'ENOENT' })
      expect((await readdir(source)).toSorted()).toEqual(['.git', 'PKGBUILD', 'port'])
      expect(await leftInState()).toEqual([])
      expect(await newLeftOvers(before, scope)).toEqual([])

      const asked = [requests('/files/data.txt'), requests('.pkg.tar')]
      expect(asked[0]).toBe(1)
      await using again = await temporaryDirectory()
      const change = { options: { ...options, installCheck: false } }
      const plan = await planBuild(archDriver, request(again.path, source, change))
      expect(plan.layers.map(({ origin }) => origin)).toEqual(['kept', 'kept'])
      expect(plan.steps.map(({ id }) => id)).toEqual(['build', 'source-package'])
      const second = await build(again.path, source, change).result
      expect(second.record.layers).toMatchObject([{ origin: 'kept' }, { origin: 'kept' }])
      expect(second.record.steps.map(({ id, network }) => `${id} ${network}`)).toEqual([
        'build loopback',
        'source-package loopback',
        'look loopback',
      ])
      expect([requests('/files/data.txt'), requests('.pkg.tar')]).toEqual(asked)
      const digests = ({ outputs }: BuildRecord) =>
        outputs.filter(({ name }) => name.includes('.pkg.')).map((one) => one.sha256)
      expect(digests(second.record)).toEqual(digests(done.record))
      expect(second.record.packages).toEqual(done.record.packages)
    })

    test('takes the tests away with what they need', async () => {
      await using work = await temporaryDirectory()
      const change = { options: { check: false }, unopened: true }
      const { record } = await build(work.path, source, change).result
      const names = record.packages?.map((one) => (one as { name: string }).name)
      expect(names).toContain('greeter')
      expect(names).not.toContain('prover')
      // It is copied when the packages are built.
      expect(record.unopened).toEqual({ complete: true, packages: [] })
      expect(record.outputs.map(({ name }) => name).join()).not.toContain('check.log')
    })
  })

  test('follows its repository: what has moved on is installed anew, and a damaged package fetched again', async () => {
    await using work = await temporaryDirectory()
    const copy = 'package() { install -Dm644 /usr/share/moving "$pkgdir/usr/share/tiny"; }'
    const source = await makePkgbuild(join(work.path, 'tiny'), tiny('makedepends=(moving)', copy))
    const seenBy = async (change: Change = {}) => {
      const { result, events } = build(work.path, source, change)
      await result
      const text = await shipped(work.path, 'tiny-1-1-any.pkg.tar.gz', 'usr/share/tiny')
      const notices = events.flatMap((event) => (event.kind === 'notice' ? [event.text] : []))
      return { text, notices }
    }
    await tree.add({ name: 'moving', files: { 'usr/share/moving': 'one\n' } })
    expect(await seenBy()).toEqual({ text: 'one', notices: [] })
    await tree.add({ name: 'moving', version: '2', files: { 'usr/share/moving': 'two\n' } })
    expect(await seenBy()).toEqual({ text: 'two', notices: [] })
    const [pool = ''] = await readdir(join(state, 'cache/pacman'))
    const kept = join(state, 'cache/pacman', pool, 'moving-2-1-any.pkg.tar.zst')
    const { size } = await stat(kept)
    await truncate(kept, size - 7)
    const text =
      'kept packages were damaged, and are fetched again: moving-2-1-any.pkg.tar.zst, moving-2-1-any.pkg.tar.zst.sig'
    expect(await seenBy({ fresh: true })).toEqual({ text: 'two', notices: [text] })
    expect((await stat(kept)).size).toBe(size)
    expect(await leftInState()).toEqual([])
  })

  test.each([
    ['prepare', 'prepare() { echo this is why >&2; false; }'],
    ['check', 'check() { echo this is why >&2; false; }'],
    ['package', 'package() { echo this is why >&2; false; }'],
  ])('that fails in %s() says so, and leaves log and record', async (name, line) => {
    await using work = await temporaryDirectory()
    const source = await makePkgbuild(join(work.path, 'tiny'), tiny(line))
    const error = await failureOf(build(work.path, source).result)
    expect(error).toMatchObject({ code: 'BUILD_FAILED', operation: 'makepkg', status: 4 })
    expect(error.message).toBe('tiny 1-1: cannot build the packages')
    expect(describeError(error)).toContain('  | this is why\n')
    expect(describeError(error)).toContain(`Starting ${name}()`)
    expect(await readRecord(work.path)).toMatchObject({
      result: 'failed',
      failure: { code: 'BUILD_FAILED', step: 'build' },
      outputs: [],
    })
    expect(await readdir(join(work.path, 'out'))).toEqual([
      ...['build-steps', 'build.json', 'build.log'],
    ])
    expect(await leftInState()).toEqual([])
    if (name === 'check')
      expect(
        (await build(work.path, source, { options: { check: false } }).result).files,
      ).toHaveLength(2)
  })

  test.each([
    [
      'a makedepend that nobody has',
      ['makedepends=("nobody-has-this>=2")'],
      'DEPENDENCY_UNSATISFIABLE',
      'nobody-has-this',
      'dependencies',
    ],
    [
      'a missing source',
      ['source=(absent)', 'sha256sums=(SKIP)'],
      'SOURCE_INVALID',
      'absent',
      'verifysource',
    ],
    [
      'a source that is not served',
      ['source=("ORIGIN/files/absent")', 'sha256sums=(SKIP)'],
      'SOURCE_FETCH',
      'absent',
      'verifysource',
    ],
    [
      'a wrong checksum',
      ['source=("ORIGIN/files/wrong")', `sha256sums=(${'0'.repeat(64)})`],
      'SOURCE_CHECKSUM',
      'FAILED',
      'verifysource',
    ],
    [
      'no checksum',
      ['source=("ORIGIN/files/wrong")'],
      'SOURCE_CHECKSUM',
      'missing',
      'verifysource',
    ],
    ['a PKGBUILD that is no program', ['build( {'], 'SOURCE_INVALID', 'PKGBUILD', 'printsrcinfo'],
    [
      'a PKGBUILD that breaks the rules',
      ['pkgrel=one'],
      'SOURCE_INVALID',
      'pkgrel',
      'printsrcinfo',
    ],
    ['an architecture of others', ['arch=(sparc)'], 'SOURCE_INVALID', 'x86_64', undefined],
  ])('with %s is refused for just that', async (_what, lines, code, word, step) => {
    await using work = await temporaryDirectory()
    tree.routes['/files/wrong'] = 'wrong\n'
    const asked = lines.map((line) => line.replace('ORIGIN', tree.server.origin))
    const source = await makePkgbuild(join(work.path, 'tiny'), tiny(...asked))
    const error = await failureOf(build(work.path, source).result)
    expect(error.code).toBe(code)
    expect(describeError(error)).toContain(word)
    const { failure } = await readRecord(work.path)
    expect(failure?.step).toBe(step)
    expect(await leftInState()).toEqual([])
  })

  test('takes signed sources from those whose keys are beside the PKGBUILD, or named, and from nobody else', async () => {
    await using work = await temporaryDirectory()
    using author = makeGpgSigner(work.path, 'author')
    const { stdout } = await execa('gpg', ['--homedir', author.home, '--with-colons', '-k'])
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? ''
    const files = { data: 'signed\n', 'data.sig': author.detach('signed\n') }
    const lines = tiny(
      'source=(data data.sig)',
      'sha256sums=(SKIP SKIP)',
      `validpgpkeys=(${fingerprint})`,
    )
    const source = await makePkgbuild(join(work.path, 'tiny'), lines, files)
    const error = await failureOf(build(work.path, source).result)
    expect(error.code).toBe('SOURCE_SIGNATURE')
    expect(describeError(error)).toContain('unknown public key')
    await build(work.path, source, { keyrings: [author.armouredKeyring] }).result
    await cp(author.armouredKeyring, join(source, 'keys/pgp/author.asc'))
    await build(work.path, source).result
    await writeFile(join(source, 'data'), 'other\n')
    expect(await failureOf(build(work.path, source).result)).toMatchObject({
      code: 'SOURCE_SIGNATURE',
    })
  })

  test('takes a repository of a version control as it is, and its version from there', async () => {
    await using work = await temporaryDirectory()
    const source = await makePkgbuild(
      join(work.path, 'tiny'),
      tiny(
        'makedepends=(git)',
        'source=("upstream::git+file:///startdir/upstream.git#branch=main")',
        'sha256sums=(SKIP)',
        'pkgver() { git -C upstream rev-list --count HEAD; }',
        'package() { install -Dm644 upstream/data "$pkgdir/usr/share/tiny"; }',
      ),
    )
    const checkout = join(work.path, 'checkout')
    const git = (...args: readonly string[]) =>
      execa('git', ['-C', checkout, '-c', 'user.name=a', '-c', 'user.email=a@example.org', ...args])
    await execa('git', ['init', '--quiet', '--initial-branch=main', checkout])
    for (const text of ['one\n', 'two\n', 'three\n']) {
      await writeFile(join(checkout, 'data'), text)
      await git('add', 'data')
      await git('commit', '--quiet', '--message', text)
    }
    await execa('git', ['clone', '--quiet', '--bare', checkout, join(source, 'upstream.git')])
    const done = await build(work.path, source).result
    expect(done.version).toBe('3-1')
    expect(await shipped(work.path, 'tiny-3-1-any.pkg.tar.gz', 'usr/share/tiny')).toBe('three')
  })

  describe('with hostile results', () => {
    const file = '/pkgdest/tiny-1-1-any.pkg.tar.gz'
    test.each([
      ['a link in place of a package', `ln -sf /etc/shadow ${file}`],
      ['half a package', `head -c 100 ${file} >x; cat x >${file}`],
      [
        'a package under another name',
        `cp ${file} x && rm ${file} && mv x ${file.replace('-1-1-', '-2-1-')}`,
      ],
      ['a log that is a link', 'ln -s /etc/shadow /logdest/tiny-evil.log'],
    ])('gives nothing out for %s', async (_what, line) => {
      await using work = await temporaryDirectory()
      // Read once more when the source package is made.
      const source = await makePkgbuild(
        join(work.path, 'tiny'),
        tiny(`if [[ -e ${file} && -z $FAKEROOTKEY ]]; then ${line}; fi`),
      )
      const error = await failureOf(
        build(work.path, source, { options: { sourcePackage: true } }).result,
      )
      expect(error.code).toBe('BUILD_RESULTS')
      expect(await readdir(join(work.path, 'out'))).toEqual([
        ...['build-steps', 'build.json', 'build.log'],
      ])
    })

    test('leaves out what was not promised, whatever its name', async () => {
      await using work = await temporaryDirectory()
      const names = ["$'evil\\n-1-1-any.pkg.tar.gz'", '../logdest/tiny-evil.pkg.tar.gz', 'x']
      const source = await makePkgbuild(
        join(work.path, 'tiny'),
        tiny(`build() { cd /pkgdest; touch ${names.join(' ')}; ln -s /etc/shadow y; }`),
      )
      const { result, events } = build(work.path, source)
      await result
      expect((await readdir(join(work.path, 'out'))).toSorted()).toEqual([
        'build-steps',
        'build.json',
        'build.log',
        'build.provenance.json',
        'tiny-1-1-any.pkg.tar.gz',
        'tiny-1-1-x86_64-build.log',
        'tiny-1-1-x86_64-package.log',
      ])
      expect(events).toContainEqual({
        kind: 'notice',
        text: 'left out, for nobody had promised it: "evil\\n-1-1-any.pkg.tar.gz", "x", "y"',
      })
    })
  })

  test('tells of packages that cannot be installed, and of what namcap says without holding them back', async () => {
    await using work = await temporaryDirectory()
    const source = await makePkgbuild(
      join(work.path, 'tiny'),
      tiny('package() { depends=(nobody-has-this); }'),
    )
    const failed = build(work.path, source, { options: { installCheck: true } }).result
    expect(await failureOf(failed)).toMatchObject({ code: 'TEST_INSTALL' })
    expect(await readdir(join(work.path, 'out'))).toContain('tiny-1-1-any.pkg.tar.gz')
    const { result } = build(work.path, source, { options: { namcap: true } })
    expect((await result).record.lint).toEqual(['tiny E: Missing /results/tiny-1-1-any.pkg.tar.gz'])
  })

  test('is compared with a second one under other circumstances', async () => {
    await using work = await temporaryDirectory()
    const lines = [
      'install -Dm644 /usr/share/greeting "$pkgdir/usr/share/tiny"',
      'echo "$USER" > "$pkgdir/usr/share/who"',
      'chmod 644 "$pkgdir/usr/share/who"',
    ]
    const source = await makePkgbuild(
      join(work.path, 'tiny'),
      tiny('makedepends=(greeter)', `package() { ${lines.join('; ')}; }`),
    )
    const { differences } = await buildTwice(buildable(archDriver, request(work.path, source)))
    expect(differences).toMatchObject([
      {
        name: 'tiny-1-1-any.pkg.tar.gz',
        lines: expect.arrayContaining([
          'usr/share/who: - builder',
          'usr/share/who: + somebody',
        ]) as unknown,
      },
    ])
    expect(differences[0]?.lines.join()).not.toMatch(/usr\/share\/tiny/)
  })

  test('comes from a lock with the packages of its day, without asking anybody', async () => {
    await using work = await temporaryDirectory()
    const copy = 'package() { install -Dm644 /usr/share/locked "$pkgdir/usr/share/tiny"; }'
    const lines = (needs: string) => tiny(`makedepends=(${needs})`, copy)
    const source = await makePkgbuild(join(work.path, 'tiny'), lines('locked'))
    const path = join(work.path, 'tiny.lock')
    const shippedNow = () => shipped(work.path, 'tiny-1-1-any.pkg.tar.gz', 'usr/share/tiny')
    await tree.add({ name: 'locked', files: { 'usr/share/locked': 'one\n' } })
    const first = await build(work.path, source, { lock: { use: 'write', path } }).result
    await tree.add({ name: 'locked', version: '2', files: { 'usr/share/locked': 'two\n' } })
    const asked = tree.server.requests.length
    const { record } = await build(work.path, source, { lock: { use: 'read', path } }).result
    expect(await shippedNow()).toBe('one')
    expect(tree.server.requests).toHaveLength(asked)
    expect(record.packages).toMatchObject(first.record.packages ?? [])
    expect(record.layers).toMatchObject([{ kind: 'locked', origin: 'made' }])
    const other = await makePkgbuild(join(work.path, 'other'), lines("'locked>=2'"))
    const refused = await failureOf(build(work.path, other, { lock: { use: 'read', path } }).result)
    expect(refused.code).toBe('DEPENDENCY_LOCK')
    expect(refused.message).toMatch(/the lock lacks build dependencies: locked>=2/)
  })

  test('in a chain has the packages that it needs of the others, in the place of installed ones too', async () => {
    await using work = await temporaryDirectory()
    const example = (name: string) =>
      fileURLToPath(new URL(`../../../examples/arch-chain/${name}`, import.meta.url))
    const source = (name: string, ...lines: readonly string[]) =>
      makePkgbuild(join(work.path, name), [
        ...[`pkgname=${name}`, 'pkgver=7', 'pkgrel=1', 'arch=(any)', 'options=(!strip !debug)'],
        ...lines,
      ])
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree.path, '-o', join(work.path, 'out')],
      ...['word-book', 'word-index', 'words'].map(example),
      // The tree has one, which nothing would make pacman replace.
      await source(
        'base',
        'package() { mkdir -p "$pkgdir/usr/share"; echo 7 >"$pkgdir/usr/share/base"; }',
      ),
      await source(
        'witness',
        'makedepends=(base)',
        'package() { cp /usr/share/base "$pkgdir/base"; ls -d /tsnspawn-packages >"$pkgdir/seen" || true; }',
      ),
    )
    const { exitCode, stderr, stdout } = await execa(program, args, {
      reject: false,
      stdin: 'ignore',
    })
    expect(stderr).toContain('order: words, base → word-index, witness → word-book')
    expect(stdout).toMatch(/^word-book +1\.0-1 +built +[\d.]+ s word-index$/m)
    expect(exitCode).toBe(0)
    const inPackage = (name: string, version: string, path: string) =>
      shipped(work.path, `${name}/${name}-${version}-any.pkg.tar.gz`, path)
    const book = await inPackage('word-book', '1.0-1', 'usr/share/doc/words/book')
    expect(book).toBe('apple\nfig\npear')
    expect(await inPackage('witness', '7-1', 'base')).toBe('7')
    expect(await inPackage('witness', '7-1', 'seen')).toBe('')
    expect(await leftInState()).toEqual([])
  })

  test('ends at once when interrupted, and leaves nothing', async () => {
    await using work = await temporaryDirectory()
    const source = await makePkgbuild(
      join(work.path, 'tiny'),
      tiny('build() { echo interrupt me now; sleep 86396; }'),
    )
    const stop = new AbortController()
    const { result } = build(work.path, source, {
      signal: stop.signal,
      log: (event) => {
        if (event.kind === 'output' && event.line === 'interrupt me now') stop.abort()
      },
    })
    expect(await failureOf(result)).toMatchObject({ code: 'CANCELED' })
    expect((await execa('ps', ['-eo', 'args'])).stdout).not.toContain('sleep 86396')
    await expect(stat(join(work.path, 'out'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await leftInState()).toEqual([])
  })

  test('is recognised by its PKGBUILD on the command line, where each failure has its status', async () => {
    await using work = await temporaryDirectory()
    const output = join(work.path, 'out')
    const run = async (source: string, ...words: readonly string[]) => {
      const [program, ...args] = tsnspawnBuild(
        ...['--state-dir', state, 'build', tree.path, source, '--output', output],
        ...words,
      )
      return execa(program, args, { reject: false, stdin: 'ignore' })
    }
    const good = await run('examples/arch-package', '--install-check')
    expect(good.exitCode).toBe(0)
    expect(good.stdout).toMatch(/^built greet 1\.0-1 in /m)
    expect(await shipped(work.path, 'greet-1.0-1-any.pkg.tar.gz', 'usr/bin/greet')).toContain('1.0')
    const foreign = await run('examples/arch-package', '--arch-only')
    expect(foreign.exitCode).toBe(2)
    expect(foreign.stderr).toContain('--arch-only is for Debian packages')

    const source = await makePkgbuild(join(work.path, 'tiny'), tiny('depends=(nobody-has-this)'))
    const lonely = await run(join(source, 'PKGBUILD'))
    expect(lonely.exitCode).toBe(3)
    expect(lonely.stderr).toContain('target not found: nobody-has-this')
    await makePkgbuild(source, tiny('check() { false; }'))
    expect((await run(source)).exitCode).toBe(1)
    expect((await run(source, '--nocheck')).exitCode).toBe(0)
  })
})
