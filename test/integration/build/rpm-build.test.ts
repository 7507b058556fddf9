/** Whole builds of rpm packages by the real rpmbuild, with dependencies from the real dnf and zypper. */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { buildable } from '../../../src/build/buildable.ts'
import { buildTwice } from '../../../src/build/reproducible/build-twice.ts'
import { buildRpm, rpmDriver, type RpmBuild } from '../../../src/build/rpm/driver.ts'
import { readRpmSource, type RpmSource } from '../../../src/build/rpm/source-argument.ts'
import type { BuildLock } from '../../../src/build/lock/lock-file.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import type { LogEvent } from '../../../src/log.ts'
import { makeGpgSigner } from '../../fixtures/gpg-signer.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import {
  repositoryFile,
  rpmBuildTree,
  toolchainOf,
  type RpmManager,
} from '../../fixtures/rpm-build-tree.ts'
import { filesBelow, rpmMirrorNeeds } from '../../fixtures/rpm-repository.ts'
import { factsPath, makeSpecDirectory, type SpecFixture } from '../../fixtures/spec-directory.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve } from '../../fixtures/web-server.ts'

const missing = lacks(...buildNeeds, ...rpmMirrorNeeds, 'program:rpm2archive')

interface Change extends Partial<Omit<RpmBuild, 'options'>> {
  readonly options?: Partial<RpmBuild['options']>
}

/** What the tests of one manager share: a tree, and the layers of all builds above it. */
function builds(manager: RpmManager) {
  const shared = { tree: '', state: '' }
  beforeAll(async () => {
    shared.tree = await rpmBuildTree(manager)
    const temporary = await temporaryDirectory()
    shared.state = temporary.path
    return () => temporary[Symbol.asyncDispose]()
  }, 600_000)

  function request(directory: string, source: RpmSource, change: Change = {}): RpmBuild {
    const { options, ...rest } = change
    return {
      tree: shared.tree,
      source,
      outputDirectory: join(directory, 'out'),
      stateDirectory: shared.state,
      ...rest,
      options: {
        jobs: 3,
        network: 'none',
        environment: {},
        check: true,
        with: [],
        without: [],
        defines: [],
        installCheck: false,
        rpmlint: false,
        ...options,
      },
    }
  }

  async function build(directory: string, source: RpmSource, change: Change = {}) {
    return buildRpm(request(directory, source, change))
  }

  async function buildSpec(directory: string, fixture: SpecFixture, change: Change = {}) {
    return build(
      directory,
      { kind: 'spec', path: await makeSpecDirectory(directory, fixture) },
      change,
    )
  }

  return { shared, request, build, buildSpec }
}

const poolFiles = async (pool: string, name: string): Promise<readonly string[]> =>
  (await readdir(pool, { recursive: true }))
    .filter((path) => basename(path) === name)
    .map((path) => join(pool, path))

const failureOf = async (result: Promise<unknown>): Promise<NspawnError> =>
  result.then(
    () => Promise.reject(new Error('the build succeeded')),
    (error: unknown) => error as NspawnError,
  )

/** What the build has written to its facts, as the package has it. */
async function facts(directory: string, name = 'tiny-1.0-1.noarch.rpm'): Promise<string> {
  const { stdout } = await execa(
    'sh',
    ['-c', 'rpm2archive - < "$1" | tar -xzO "$2"', 'sh', name, `.${factsPath}`],
    { cwd: join(directory, 'out') },
  )
  return stdout
}

const query = async (path: string, format: string): Promise<string> =>
  (await execa('rpm', ['-qp', '--nosignature', '--qf', format, path])).stdout

const names = (paths: readonly string[]) => paths.map((path) => basename(path))

describe.skipIf(missing).each(['dnf', 'zypper'] as const)(
  'an rpm build with %s',
  { timeout: 300_000 },
  (manager) => {
    const { shared, request, build, buildSpec } = builds(manager)

    test('gives packages, a log and a record, from a builder without rights or network, and again from layers', async () => {
      await using work = await temporaryDirectory()
      const scope = { machines: ['build-'], directories: [work.path] }
      const before = await leftOvers(scope)
      const fixture: SpecFixture = {
        tags: ['BuildRequires: greeting >= 2, late', 'Source0: data.txt'],
        build: [
          'cat /usr/share/greeting %{SOURCE0} >> facts',
          'id -u >> facts; id -un >> facts; ls /sys/class/net >> facts; hostname >> facts',
          'getent hosts "$(hostname)" >> facts; pwd >> facts; echo "$HOME $RPM_BUILD_NCPUS" >> facts',
          'test ! -w /usr; rpm -q tsnspawn-build-requires >> facts || true',
        ],
        check: ['echo "the check ran"; test -s facts'],
        more: ['%package doc', 'Summary: More', '%description doc', 'More.', '%files doc'],
        files: { 'data.txt': 'data\n' },
      }
      const first = await buildSpec(work.path, fixture, { unopened: true })
      expect(names(first.files)).toEqual([
        'installed_pkgs.log',
        'tiny-1.0-1.src.rpm',
        'tiny-doc-1.0-1.noarch.rpm',
        'tiny-1.0-1.noarch.rpm',
      ])
      expect(await facts(work.path)).toBe(
        [
          ...['built', 'hello', 'data', '2000', 'builder', 'lo', 'build'],
          ...['127.0.1.1       build', '/builddir/build/BUILD', '/builddir 3'],
          'package tsnspawn-build-requires is not installed',
        ].join('\n'),
      )
      expect(await readFile(first.logPath, 'utf8')).toContain('the check ran')
      expect(first).toMatchObject({ name: 'tiny', version: '1.0-1' })
      expect(first.record.unopened).toEqual({
        complete: true,
        packages: [{ name: 'late', asked: 'late', opened: [] }],
      })
      expect(first.record.packages).toContainEqual({
        name: 'greeting',
        version: '2.0-1',
        architecture: 'noarch',
      })
      expect(await readFile(join(work.path, 'out/installed_pkgs.log'), 'utf8')).toContain(
        'greeting-2.0-1.noarch installed\n',
      )
      const [host, time] = (await query(first.files[3]!, '%{BUILDHOST} %{BUILDTIME}')).split(' ')
      expect(host).toBe('build')
      // Some versions of rpm mean noon by a day, others midnight.
      expect(new Date(Number(time) * 1000).toISOString()).toContain('2026-01-05T')
      const second = await buildSpec(work.path, fixture)
      expect(second.record.layers).toEqual([
        expect.objectContaining({ kind: 'toolchain', origin: 'kept' }),
        expect.objectContaining({ kind: 'dependencies', origin: 'kept' }),
      ])
      expect(second.record.steps.every(({ network }) => network === 'loopback')).toBe(true)
      expect(existsSync(join(shared.tree, 'builddir'))).toBe(false)
      expect(await readdir(join(shared.state, 'builds'))).toEqual([])
      expect(await newLeftOvers(before, scope)).toEqual([])
      // What came out goes in.
      const again = join(work.path, 'again')
      const { files } = await build(again, { kind: 'package-file', path: first.files[1]! })
      expect(names(files)).toEqual(names(first.files))
      expect(await facts(again)).toBe(await facts(work.path))
    })

    test('in a chain has the packages that it needs of the others, in the place of installed ones too', async () => {
      await using work = await temporaryDirectory()
      const source = async (name: string, words: string, tags: readonly string[], more = '') =>
        dirname(
          await makeSpecDirectory(work.path, {
            name,
            tags,
            install: [
              `mkdir -p %{buildroot}/usr/share; { ${words}; } >%{buildroot}/usr/share/${name}`,
            ],
            more: ['%package devel', 'Summary: More', more, '%description devel', 'More.'].concat(
              ...['%files devel', `/usr/share/${name}`],
            ),
          }),
        )
      const seen = 'ls -d /tsnspawn-packages || true'
      const [program, ...args] = tsnspawnBuild(
        ...['--state-dir', shared.state, 'build', shared.tree, '-o', join(work.path, 'out')],
        await source('top', `cat /usr/share/middle /usr/share/tiny/facts; ${seen}`, [
          'BuildRequires: (middle-devel >= 1.0 and greeting), tiny-toolchain',
        ]),
        // The tree has one, and nothing asks for another.
        await source('tiny-toolchain', 'echo tools', [
          'Epoch: 1',
          `Provides: /bin/sh, /usr/bin/sh, ${toolchainOf(manager).join(', ')}`,
        ]),
        await source(
          'middle',
          'cat /usr/share/low /usr/share/greeting',
          ['BuildRequires: pkgconfig(low), greeting'],
          'Requires: low-devel = 1.0',
        ),
        await source('low', 'echo low', [], 'Provides: pkgconfig(low) = 3'),
      )
      const { exitCode, stderr, stdout } = await execa(program, args, {
        reject: false,
        stdin: 'ignore',
      })
      if (exitCode !== 0) console.log(stderr)
      expect(stderr).toContain('order: tiny-toolchain, low → middle → top')
      expect(stdout).toMatch(/^middle +1\.0-1 +built +[\d.]+ s low$/m)
      expect(exitCode).toBe(0)
      const out = join(work.path, 'out/top')
      const { stdout: words } = await execa(
        'sh',
        [
          '-c',
          'rpm2archive - < "$1" | tar -xzO ./usr/share/top',
          'sh',
          'top-devel-1.0-1.noarch.rpm',
        ],
        { cwd: out },
      )
      expect(words).toBe('low\nhello\nbuilt')
      // They are nobody's to share.
      const pool = join(shared.state, 'cache/rpm')
      expect(await poolFiles(pool, 'low-devel-1.0-1.noarch.rpm')).toEqual([])
    })

    test('tells which dependency nobody has', async () => {
      await using work = await temporaryDirectory()
      const error = await failureOf(
        buildSpec(work.path, { tags: ['BuildRequires: nobody-has-this'] }),
      )
      expect(error.code).toBe('DEPENDENCY_UNSATISFIABLE')
      expect(describeError(error)).toContain('nobody-has-this')
      expect((await readdir(join(work.path, 'out'))).toSorted()).toEqual([
        ...['build-steps', 'build.json', 'build.log'],
      ])
    })

    test('fetches packages once, also for builds without layers', async () => {
      await using work = await temporaryDirectory()
      const tree = join(work.path, 'tree')
      const stateDirectory = join(work.path, 'state')
      await execa('cp', ['-a', '--link', '--', shared.tree, tree])
      await using server = await serve(filesBelow(join(tree, 'srv/repo')))
      const path = join(tree, repositoryFile(manager))
      const text = await readFile(path, 'utf8')
      await rm(path)
      await writeFile(path, text.replace('file:///srv/repo', server.origin))
      const fetched = async () => {
        server.requests.splice(0)
        const fixture = {
          tags: ['BuildRequires: greeting'],
          build: ['test -e /usr/share/greeting'],
        }
        await buildSpec(work.path, fixture, { tree, fresh: true, stateDirectory })
        return server.requests.flatMap(({ url = '' }) => (url.endsWith('.rpm') ? [url] : []))
      }
      expect((await fetched()).toSorted()).toEqual([
        '/greeting-2.0.noarch.rpm',
        '/tiny-toolchain-1.0.noarch.rpm',
      ])
      expect(await fetched()).toEqual([])
      // One that was damaged meanwhile, or put there by somebody, is not taken.
      const [name] = await poolFiles(join(stateDirectory, 'cache/rpm'), 'greeting-2.0.noarch.rpm')
      const bytes = await readFile(name!)
      await writeFile(name!, bytes.fill(0, bytes.length >> 1))
      expect(await fetched()).toEqual(['/greeting-2.0.noarch.rpm'])
      expect(await fetched()).toEqual([])
    })

    test('installs what the spec asks for when it has been prepared, until it asks for nothing more', async () => {
      await using work = await temporaryDirectory()
      const { record } = await buildSpec(work.path, {
        tags: ['BuildRequires: greeting'],
        prep: ['echo prepared >> log'],
        generate: ['echo generated', 'test ! -e /usr/share/generated || echo late'],
        build: ['cat log /usr/share/generated /usr/share/late >> facts'],
      })
      expect(await facts(work.path)).toBe('built\nprepared\ngenerated\nlate')
      expect(record.result).toBe('succeeded')
      const source = join(work.path, 'out/tiny-1.0-1.src.rpm')
      expect(await query(source, '[%{REQUIRENAME}\\n]')).toMatch(/^generated$[^]*^late$/m)
    })

    test('comes out the same in another directory, on another host, for another user', async () => {
      await using work = await temporaryDirectory()
      const path = await makeSpecDirectory(work.path, {
        build: ['cat /etc/os-release >> facts'],
        more: ['%package doc', 'Summary: More', '%description doc', 'More.', '%files doc'],
      })
      const same = await buildTwice(
        buildable(rpmDriver, request(work.path, { kind: 'spec', path })),
      )
      expect(same.differences).toEqual([])
      const telling = await makeSpecDirectory(join(work.path, 'telling'), {
        build: ['pwd >> facts; hostname >> facts; id -un >> facts'],
      })
      const source = { kind: 'spec', path: telling } as const
      const { second } = await buildTwice(buildable(rpmDriver, request(work.path, source)))
      const other = await facts(work.path, 'second-build/tiny-1.0-1.noarch.rpm')
      expect(other).toBe('built\n/builddir/elsewhere/BUILD\nelsewhere\nsomebody')
      expect(second.record.result).toBe('succeeded')
    })

    test('comes from a lock with the very same packages, without asking anybody', async () => {
      await using work = await temporaryDirectory()
      const fixture: SpecFixture = {
        tags: ['BuildRequires: greeting'],
        prep: ['echo prepared >> log'],
        generate: ['echo generated'],
        build: ['cat log /usr/share/greeting /usr/share/generated >> facts'],
      }
      const path = join(work.path, 'tiny.lock')
      const first = await buildSpec(work.path, fixture, { lock: { use: 'write', path } })
      const lock = JSON.parse(await readFile(path, 'utf8')) as BuildLock
      expect(lock.packages).toContainEqual({
        name: 'greeting',
        version: '2.0-1',
        architecture: 'noarch',
        url: 'file:///srv/repo/greeting-2.0.noarch.rpm',
        sizeBytes: expect.any(Number),
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      })
      const again = await buildSpec(work.path, fixture, { lock: { use: 'read', path } })
      expect(await facts(work.path)).toBe('built\nprepared\nhello\ngenerated')
      const { record } = again
      expect(record.layers).toMatchObject([{ kind: 'locked', origin: 'made' }])
      expect(record.steps.every(({ network }) => network === 'loopback')).toBe(true)
      expect(record.packages).toEqual(first.record.packages)
      const less = lock.packages.filter(({ name }) => name !== 'generated')
      await writeFile(path, JSON.stringify({ ...lock, packages: less }))
      const refused = await failureOf(
        buildSpec(work.path, fixture, { lock: { use: 'read', path } }),
      )
      expect(refused.code).toBe('DEPENDENCY_UNSATISFIABLE')
    })
  },
)

describe.skipIf(missing)('an rpm build', { timeout: 300_000 }, () => {
  const { shared, build, buildSpec } = builds('dnf')

  test('knows dependencies that come by a macro of another one, rich ones and conflicts', async () => {
    await using work = await temporaryDirectory()
    await buildSpec(work.path, {
      tags: [
        'BuildRequires: late-macros',
        'BuildRequires: (no-such-package or greeting)',
        'BuildConflicts: enemy',
        '%{?late_requires}',
      ],
      build: ['cat /usr/share/late /usr/share/greeting >> facts', 'test ! -e /usr/share/enemy'],
    })
    expect(await facts(work.path)).toBe('built\nlate\nhello')
    const error = await failureOf(
      buildSpec(work.path, { tags: ['BuildRequires: enemy', 'BuildConflicts: enemy'] }),
    )
    expect(error.code).toBe('DEPENDENCY_UNSATISFIABLE')
  })

  test.each([
    ['%prep', { prep: ['false'] }],
    ['%generate_buildrequires', { generate: ['false'] }],
    ['%build', { build: ['echo no luck; false'] }],
    ['%install', { install: ['false'] }],
    ['%check', { check: ['false'] }],
  ] as const)('says that %s has failed', async (stage, fixture) => {
    await using work = await temporaryDirectory()
    const error = await failureOf(buildSpec(work.path, fixture))
    expect(error.code).toBe('BUILD_FAILED')
    expect(error.message).toContain(`${stage} has failed`)
  })

  test('takes features, macros and the wish not to check', async () => {
    await using work = await temporaryDirectory()
    await buildSpec(
      work.path,
      {
        before: ['%bcond_with loud', '%bcond_without quiet'],
        build: [
          'echo %{with loud} %{with quiet} "%{greeting}" $VARIABLE >> facts',
          'test ! -e /usr/share/never',
        ],
        check: ['false'],
      },
      {
        options: {
          check: false,
          with: ['loud'],
          without: ['quiet'],
          defines: ["greeting it's 'me'"],
          environment: { VARIABLE: 'set' },
        },
      },
    )
    expect(await facts(work.path)).toBe("built\n1 0 it's 'me' set")
  })

  test('fetches what is not beside the spec, and checks it', async () => {
    await using work = await temporaryDirectory()
    const text = 'from afar\n'
    await using server = await serve({ '/tiny-1.0.txt': text, '/other': 'other\n' })
    const fixture = (sum: string): SpecFixture => ({
      tags: [`Source0: ${server.origin}/%{name}-%{version}.txt`, `Patch0: ${server.origin}/other`],
      build: ['cat %{SOURCE0} %{PATCH0} >> facts'],
      files: { sources: `SHA512 (tiny-1.0.txt) = ${sum}\n` },
    })
    const right = createHash('sha512').update(text).digest('hex')
    const events: LogEvent[] = []
    const { record } = await buildSpec(work.path, fixture(right), {
      log: (event) => void events.push(event),
    })
    expect(await facts(work.path)).toBe('built\nfrom afar\nother')
    const notices = events
      .filter(({ kind }) => kind === 'notice')
      .map((event) => JSON.stringify(event))
    expect(notices.join()).toContain('vouches for other')
    expect(notices.join()).not.toContain('vouches for tiny')
    expect(JSON.stringify(record.source)).toContain(`${server.origin}/tiny-1.0.txt`)
    const error = await failureOf(buildSpec(work.path, fixture('0'.repeat(128))))
    expect(error.code).toBe('SOURCE_CHECKSUM')
  })

  test('is refused without a source that has no address, or one of the host', async () => {
    await using work = await temporaryDirectory()
    for (const source of ['absent.txt', 'file:///etc/hostname', 'ftp://127.0.0.1/x.txt']) {
      const error = await failureOf(buildSpec(work.path, { tags: [`Source0: ${source}`] }))
      expect(error.code).toBe('SOURCE_NOT_FOUND')
    }
  })

  test("finds sources in rpmbuild's own layout of directories", async () => {
    await using work = await temporaryDirectory()
    const path = await makeSpecDirectory(work.path, {
      name: 'SPECS',
      tags: ['Source0: given.txt'],
      build: ['cat %{SOURCE0} >> facts'],
    })
    await mkdir(join(work.path, 'SOURCES'))
    await writeFile(join(work.path, 'SOURCES/given.txt'), 'given\n')
    await build(work.path, { kind: 'spec', path })
    expect(await facts(work.path, 'SPECS-1.0-1.noarch.rpm')).toBe('built\ngiven')
  })

  test('does not follow links beside the spec', async () => {
    await using work = await temporaryDirectory()
    const path = await makeSpecDirectory(work.path, { tags: ['Source0: secret'] })
    await symlink('/etc/shadow', join(dirname(path), 'secret'))
    const error = await failureOf(build(work.path, { kind: 'spec', path }))
    expect(error.code).toBe('SOURCE_NOT_FOUND')
  })

  test('refuses a spec that rpm cannot read, and a source package that is damaged', async () => {
    await using work = await temporaryDirectory()
    const broken = await failureOf(buildSpec(work.path, { tags: ['NoSuchTag: x'] }))
    expect(broken.code).toBe('SOURCE_INVALID')
    const path = join(work.path, 'x.src.rpm')
    await writeFile(path, 'no package')
    const damaged = await failureOf(build(work.path, { kind: 'package-file', path }))
    expect(damaged.code).toBe('SOURCE_CHECKSUM')
  })

  test.each([
    ['a link', 'ln -s /etc/passwd %{_rpmdir}/x-1-1.noarch.rpm', 'no regular file'],
    ['a name with a line break', 'touch "%{_rpmdir}/$(printf \'x\\ny\').rpm"', 'not a name'],
    ['what is no package', 'echo x > %{_rpmdir}/x-1-1.noarch.rpm', 'cannot check the packages'],
    ['a directory of another place', 'ln -s /etc %{_rpmdir}/noarch', 'no regular file'],
  ])('takes no results with %s among them', async (_what, line, message) => {
    await using work = await temporaryDirectory()
    const error = await failureOf(buildSpec(work.path, { build: [line] }))
    expect(error.code).toBe('BUILD_RESULTS')
    expect(error.message).toContain(message)
    expect((await readdir(join(work.path, 'out'))).toSorted()).toEqual([
      ...['build-steps', 'build.json', 'build.log'],
    ])
  })

  test('code of a spec cannot reach the layers that other builds share', async () => {
    await using work = await temporaryDirectory()
    const places = ['/tmp', '/var/tmp', '/builddir'].map((place) => `${place}/spec-marker`)
    await buildSpec(work.path, {
      // Runs whenever the spec is read, also before dependencies are installed.
      before: [`# %(touch ${places.join(' ')}; echo '%%_rpmdir /tmp' > /builddir/.rpmmacros)`],
      tags: ['BuildRequires: late'],
      build: [`ls ${places.join(' ')} >> facts`],
    }).catch(() => undefined)
    const log = await readFile(join(work.path, 'out/build.log'), 'utf8')
    expect(log).toContain('+ ls /tmp/spec-marker')
    expect(log).not.toContain('No such file')
    expect(log).toContain('Wrote: /build/requires/requires.rpm')
    const { stdout } = await execa('find', [join(shared.state, 'layers'), '-name', 'spec-marker'])
    expect(stdout).toBe('')
  })

  test('makes the packages of the example', async () => {
    await using work = await temporaryDirectory()
    const path = fileURLToPath(new URL('../../../examples/rpm-package', import.meta.url))
    const { files } = await build(work.path, readRpmSource(path, work.path))
    expect(names(files)).toEqual([
      'installed_pkgs.log',
      'greet-1.0-1.src.rpm',
      'greet-doc-1.0-1.noarch.rpm',
      'greet-1.0-1.noarch.rpm',
    ])
  })

  test('of the chain of the example gives its three packages', async () => {
    await using work = await temporaryDirectory()
    const example = (name: string) =>
      fileURLToPath(new URL(`../../../examples/rpm-chain/${name}.spec`, import.meta.url))
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', shared.state, 'build', shared.tree, '-o', join(work.path, 'out')],
      ...['word-book', 'word-index', 'words'].map(example),
    )
    await execa(program, args, { stdin: 'ignore' })
    const { stdout } = await execa(
      'sh',
      [
        '-c',
        'rpm2archive - < "$1" | tar -xzO "$2"',
        'sh',
        'word-book-1.0-1.noarch.rpm',
        './usr/share/doc/words/book',
      ],
      { cwd: join(work.path, 'out/word-book') },
    )
    expect(stdout).toBe('apple\nfig\npear')
  })

  test('tells that its results cannot be installed, when that is asked', async () => {
    await using work = await temporaryDirectory()
    const installCheck = { options: { installCheck: true } }
    await buildSpec(work.path, { tags: ['Requires: greeting'] }, installCheck)
    const error = await failureOf(
      buildSpec(work.path, { tags: ['Requires: nobody-has-this'] }, installCheck),
    )
    expect(error.code).toBe('TEST_INSTALL')
    const files = await readdir(join(work.path, 'out'))
    expect(files.filter((name) => name.endsWith('.rpm'))).not.toEqual([])
  })

  test('says what rpmlint thinks of the packages, and keeps them', async () => {
    await using work = await temporaryDirectory()
    const { files, record } = await buildSpec(work.path, {}, { options: { rpmlint: true } })
    expect(record.lint).toEqual([
      'tiny-1.0-1.src.rpm: W: no-documentation',
      'tiny-1.0-1.noarch.rpm: W: no-documentation',
    ])
    expect(names(files)).toContain('tiny-1.0-1.noarch.rpm')
  })

  test('tells who has signed a source package', async () => {
    await using work = await temporaryDirectory()
    const { files } = await buildSpec(work.path, {
      tags: ['Source0: given', 'NoSource: 0'],
      files: { given: '' },
    })
    expect(names(files)).toContain('tiny-1.0-1.nosrc.rpm')
    const plain = await buildSpec(work.path, {})
    const path = plain.files.find((one) => one.endsWith('.src.rpm'))!
    const notices = async () => {
      const events: LogEvent[] = []
      const log = (event: LogEvent) => void events.push(event)
      await build(join(work.path, 'again'), { kind: 'package-file', path }, { log })
      return events.flatMap((event) => (event.kind === 'notice' ? [event.text] : [])).join()
    }
    expect(await notices()).toContain('it is not signed')
    using signer = makeGpgSigner(work.path, 'somebody')
    const macros = [`_gpg_name ${signer.user}`, `_gpg_path ${signer.home}`, '__gpg /usr/bin/gpg']
    const definitions = macros.flatMap((macro) => ['--define', macro])
    await execa('rpmsign', [...definitions, '--addsign', path], { env: { HOME: signer.home } })
    expect(await notices()).toContain('does not have the key')
  })

  test('leaves nothing when it is given up', async () => {
    await using work = await temporaryDirectory()
    const scope = { machines: ['build-'], directories: [work.path] }
    const before = await leftOvers(scope)
    const stop = new AbortController()
    const error = await failureOf(
      buildSpec(
        work.path,
        { build: ['echo waiting; sleep 86400'] },
        {
          signal: stop.signal,
          log: (event) => {
            if (event.kind === 'output' && event.line === 'waiting') stop.abort()
          },
        },
      ),
    )
    expect(error.code).toBe('CANCELED')
    expect(existsSync(join(work.path, 'out'))).toBe(false)
    expect(await readdir(join(shared.state, 'builds'))).toEqual([])
    expect(await newLeftOvers(before, scope)).toEqual([])
  })

  test('by the program ends with the class of its failure', async () => {
    await using work = await temporaryDirectory()
    const path = await makeSpecDirectory(work.path, {
      tags: ['BuildRequires: nobody-has-this'],
    })
    const run = (...words: string[]) => {
      const [program, ...args] = tsnspawnBuild(
        ...['--state-dir', shared.state, 'build', shared.tree, ...words],
      )
      return execa(program, args, { cwd: work.path, reject: false })
    }
    const failed = await run(dirname(path), '-o', 'out')
    expect(failed.exitCode).toBe(3)
    expect(failed.stderr).toContain('nobody-has-this')
    const foreign = await run(path, '--profiles=nodoc')
    expect(foreign.exitCode).toBe(2)
    const macro = await run(path, '--define=x')
    expect(macro.exitCode).toBe(2)
    expect(macro.stderr).toContain('not a macro: x')
  })
})
