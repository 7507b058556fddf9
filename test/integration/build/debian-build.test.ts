/** Whole builds, in real containers; the package index comes from the archive that this host is set to. */
import { execa } from 'execa'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { removeStaleBuilds } from '../../../src/build/build-place.ts'
import { buildDebian } from '../../../src/build/debian/build.ts'
import { debianDriver, type DebianBuild } from '../../../src/build/debian/driver.ts'
import { planBuild } from '../../../src/build/plan-build.ts'
import type { SourceRequest } from '../../../src/build/debian/source-argument.ts'
import { describeError, type NspawnError } from '../../../src/errors.ts'
import { hashFile } from '../../../src/hash-file.ts'
import type { LogEvent } from '../../../src/log.ts'
import { aptArchive, buildDeb } from '../../fixtures/apt-archive.ts'
import { debianBuildTree } from '../../fixtures/debian-tree.ts'
import { leftOvers, newLeftOvers } from '../../fixtures/left-overs.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import { makeSigner } from '../../fixtures/signing.ts'
import {
  makeSourceDirectory,
  makeSourcePackage,
  type SourceFixture,
} from '../../fixtures/source-package.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'
import { serve } from '../../fixtures/web-server.ts'

describe.skipIf(lacks(...buildNeeds))('a Debian build', { timeout: 300_000 }, () => {
  let tree: string
  // Layers are shared by the tests, as by the builds of a machine.
  let state: string
  beforeAll(async () => {
    tree = await debianBuildTree()
    const temporary = await temporaryDirectory()
    state = temporary.path
    return () => temporary[Symbol.asyncDispose]()
  }, 600_000)

  interface Change extends Partial<Omit<DebianBuild, 'options'>> {
    readonly options?: Partial<DebianBuild['options']>
  }

  function request(directory: string, source: SourceRequest, change: Change = {}): DebianBuild {
    const { options, ...rest } = change
    return {
      tree,
      source,
      outputDirectory: join(directory, 'out'),
      stateDirectory: state,
      signature: { keyrings: [], required: false },
      ...rest,
      options: {
        scope: { any: true, all: true, source: false },
        jobs: 3,
        buildOptions: [],
        profiles: [],
        network: 'none',
        environment: {},
        ...options,
      },
    }
  }

  /** Runs a build in `directory`; its events are kept. */
  async function build(directory: string, source: SourceRequest, change: Change = {}) {
    const events: LogEvent[] = []
    const log = (event: LogEvent) => void events.push(event)
    return { result: buildDebian(request(directory, source, { log, ...change })), events }
  }

  async function buildPackage(directory: string, fixture: SourceFixture, change: Change = {}) {
    return build(
      directory,
      { kind: 'dsc-file', path: await makeSourcePackage(directory, fixture) },
      change,
    )
  }

  const failureOf = async (result: Promise<unknown>): Promise<NspawnError> =>
    result.then(
      () => Promise.reject(new Error('the build succeeded')),
      (error: unknown) => error as NspawnError,
    )

  const record = async (directory: string) =>
    JSON.parse(await readFile(join(directory, 'out/build.json'), 'utf8')) as Record<string, unknown>

  /** Files that the package ships, by name. */
  async function shipped(directory: string, name = 'tiny_1.0'): Promise<Record<string, string>> {
    await execa('dpkg-deb', [
      '-x',
      join(directory, `out/${name}_amd64.deb`),
      join(directory, 'unpacked'),
    ])
    const place = join(directory, 'unpacked/usr/share/tiny')
    const entries = (await readdir(place)).map(
      async (file) => [file, await readFile(join(place, file), 'utf8')] as const,
    )
    return Object.fromEntries(await Promise.all(entries))
  }

  const leftInState = async () => {
    const [builds, layers] = await Promise.all(
      ['builds', 'layers'].map((name) => readdir(join(state, name))),
    )
    return [...(builds ?? []), ...(layers ?? []).filter((name) => !/^[0-9a-f]{40}$/.test(name))]
  }

  test('gives the packages, a log and a record, and leaves the tree and the host as they were', async () => {
    await using work = await temporaryDirectory()
    const before = await leftOvers({ machines: ['build-'] })
    const facts = [
      'id -u > out/uid; id -un > out/name',
      'env | grep -v -e ^PWD= -e ^MAKE -e ^MFLAGS= -e ^OLDPWD= -e ^SHLVL= -e ^_= -e ^DEB_ -e ^DPKG_ | sort > out/env',
      'env | grep -e ^DEB_BUILD_OPTIONS= -e ^DEB_BUILD_PROFILES= > out/deb',
      'ls -d "$HOME" > out/home 2>&1 || true',
      'cat /proc/self/uid_map > out/uid-map',
      'ls /sys/class/net > out/links',
      'getent hosts localhost > out/localhost',
      'hostname > out/hostname',
      'pwd > out/pwd',
      'umask > out/umask',
    ]
    const { result, events } = await buildPackage(work.path, {
      buildDepends: 'hello | no-such-package',
      build: [...facts, 'hello > out/hello'],
    })
    const { files, record: written } = await result
    expect(files.map((path) => path.slice(work.path.length))).toEqual([
      '/out/tiny_1.0_amd64.buildinfo',
      '/out/tiny_1.0_amd64.deb',
      '/out/tiny_1.0_amd64.changes',
    ])
    const seen = await shipped(work.path)
    expect(seen).toMatchObject({
      uid: '2000\n',
      name: 'builder\n',
      deb: 'DEB_BUILD_OPTIONS=parallel=3\n',
      links: 'lo\n',
      hostname: 'build\n',
      pwd: '/build/reproducible-path/tiny-1.0\n',
      umask: '0022\n',
      hello: 'Hello, world!\n',
    })
    expect(seen['home']).toMatch(/No such file/)
    expect(seen['uid-map']?.trim().split(/\s+/)[1]).not.toBe('0')
    expect(
      seen['env']?.split('\n').filter((line) => !/^(container|NOTIFY_SOCKET)/.test(line)),
    ).toEqual([
      'HOME=/nonexistent',
      'LANG=C.UTF-8',
      'LC_ALL=C.UTF-8',
      'LC_COLLATE=C.UTF-8',
      'LOGNAME=builder',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHELL=/bin/sh',
      'SOURCE_DATE_EPOCH=946684800',
      'TERM=dumb',
      'USER=builder',
      '',
    ])
    expect(written.packages).toContainEqual(expect.objectContaining({ name: 'hello' }))
    expect(await record(work.path)).toMatchObject({
      result: 'succeeded',
      source: { name: 'tiny', version: '1.0' },
    })
    expect(await readFile(join(work.path, 'out/build.log'), 'utf8')).toContain(
      '== dpkg-buildpackage -us -uc -b',
    )
    const phases = events.flatMap((event) =>
      event.kind === 'phase' && event.state === 'end' ? [event.phase] : [],
    )
    expect(phases).toEqual(['fetch', 'dependencies', 'unpack', 'build', 'collect'])
    await expect(stat(join(tree, 'usr/bin/hello'))).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(stat(join(tree, 'build'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await leftInState()).toEqual([])
    expect(await newLeftOvers(before, { machines: ['build-'] })).toEqual([])
  })

  describe('for the second time', () => {
    // Not what others ask for: the layers of this one are made here.
    const fixture = { buildDepends: 'hello, make', build: ['hello > out/hello'] }
    const steps = async (directory: string) =>
      ((await record(directory))['steps'] as { id: string }[]).map(({ id }) => id)

    test('starts at once from the layers of the first, with the same packages', async () => {
      await using first = await temporaryDirectory()
      const path = await makeSourcePackage(first.path, fixture)
      const plan = async () =>
        planBuild(debianDriver, request(first.path, { kind: 'dsc-file', path }))
      const before = await plan()
      expect(before).toMatchObject({ name: 'tiny', version: '1.0', openEnd: undefined })
      expect(before.layers.at(-1)).toMatchObject({ kind: 'dependencies', origin: 'made' })
      await expect(stat(join(first.path, 'out'))).rejects.toMatchObject({ code: 'ENOENT' })
      await (
        await build(first.path, { kind: 'dsc-file', path })
      ).result
      expect(await steps(first.path)).toEqual(before.steps.map(({ id }) => id))
      const after = await plan()
      expect(after.layers.map(({ origin }) => origin)).toEqual(['kept', 'kept'])
      expect(after.steps.map(({ id }) => id)).toEqual(['unpack', 'build'])
      expect(await leftInState()).toEqual([])
      await using second = await temporaryDirectory()
      await (
        await buildPackage(second.path, fixture)
      ).result
      expect(await steps(second.path)).toEqual(['unpack', 'build'])
      const [one, two] = [await record(first.path), await record(second.path)]
      expect(two['packages']).toEqual(one['packages'])
      expect((await shipped(second.path))['hello']).toBe('Hello, world!\n')
      expect(two['layers']).toMatchObject([
        { kind: 'toolchain', origin: 'kept' },
        { origin: 'kept' },
      ])
    })

    test('makes a layer anew when it was damaged, or when asked to', async () => {
      await using work = await temporaryDirectory()
      await (
        await buildPackage(work.path, fixture)
      ).result
      const layers = (await record(work.path))['layers'] as { kind: string; key: string }[]
      const key = layers.find(({ kind }) => kind === 'dependencies')?.key
      await rm(join(state, `layers/${key}/upper/var/lib/dpkg/status`))
      await using again = await temporaryDirectory()
      await (
        await buildPackage(again.path, fixture)
      ).result
      expect(await steps(again.path)).toEqual(['build-dep', 'unpack', 'build'])
      await using fresh = await temporaryDirectory()
      await (
        await buildPackage(fresh.path, fixture, { fresh: true })
      ).result
      expect(await steps(fresh.path)).toContain('update')
      expect(await leftInState()).toEqual([])
    })
  })

  describe('has no reach', () => {
    test('to the network, and to files of the host or of root', async () => {
      await using work = await temporaryDirectory()
      const secret = join(work.path, 'secret')
      await writeFile(secret, 'secret', { mode: 0o644 })
      const attempts = [
        `cat ${secret} > out/secret 2>&1 || echo refused > out/secret`,
        '(echo evil > /etc/evil) 2>out/etc || true',
        '(echo evil > /usr/bin/dpkg-deb) 2>out/usr || true',
        'bash -c "echo > /dev/tcp/1.1.1.1/80" 2>out/network || true',
      ]
      const { result } = await buildPackage(work.path, { build: attempts })
      await result
      const seen = await shipped(work.path)
      expect(seen['secret']).toContain('refused')
      expect(seen['etc']).toContain('Permission denied')
      expect(seen['usr']).toContain('Permission denied')
      expect(seen['network']).toContain('Network is unreachable')
    })

    test('to the host even when it plants links where results are taken from', async () => {
      await using work = await temporaryDirectory()
      const { result } = await buildPackage(work.path, {
        build: ['ln -s /etc/shadow ../tiny_1.0_amd64.changes'],
      })
      // dpkg-genchanges may replace the link or fail on it; what must not happen is that the host's file is taken.
      await result.catch(() => undefined)
      const files = await readdir(join(work.path, 'out'), { withFileTypes: true })
      for (const { name } of files.filter((file) => file.isFile())) {
        expect(await readFile(join(work.path, 'out', name), 'utf8')).not.toContain(
          await readFile('/etc/shadow', 'utf8'),
        )
      }
    })
  })

  describe('that fails', () => {
    test('says the step, the last lines, the log and the status, and still writes log and record', async () => {
      await using work = await temporaryDirectory()
      const { result } = await buildPackage(work.path, {
        build: ['echo this is why >&2', 'exit 3'],
      })
      const error = await failureOf(result)
      expect(error).toMatchObject({
        code: 'BUILD_FAILED',
        operation: 'dpkg-buildpackage',
        status: 2,
        log: join(work.path, 'out/build.log'),
      })
      expect(error.message).toContain('tiny 1.0: cannot build the packages')
      expect(describeError(error)).toContain('  | this is why\n')
      expect(await record(work.path)).toMatchObject({
        result: 'failed',
        failure: { code: 'BUILD_FAILED', step: 'build' },
        outputs: [],
      })
      expect(await readdir(join(work.path, 'out'))).toEqual([
        ...['build-steps', 'build.json', 'build.log'],
      ])
      expect(await leftInState()).toEqual([])
    })

    test('in its own tests builds with nocheck', async () => {
      await using work = await temporaryDirectory()
      const fixture = { check: ['echo test failed', 'false'] }
      const { result } = await buildPackage(work.path, fixture)
      expect(describeError(await failureOf(result))).toContain('test failed')
      await using again = await temporaryDirectory()
      const { result: unchecked } = await buildPackage(again.path, fixture, {
        options: { buildOptions: ['nocheck'] },
      })
      expect((await unchecked).files).toHaveLength(3)
    })

    test('for a dependency that nobody has is told by apt in its own words', async () => {
      await using work = await temporaryDirectory()
      const { result } = await buildPackage(work.path, { buildDepends: 'no-such-package (>= 2)' })
      const error = await failureOf(result)
      expect(error.code).toBe('DEPENDENCY_UNSATISFIABLE')
      expect(describeError(error)).toContain('no-such-package')
      expect(await record(work.path)).toMatchObject({ failure: { step: 'build-dep' } })
      expect(await leftInState()).toEqual([])
    })

    test('because its mirror cannot be reached is a failure of dependencies, not of the build', async () => {
      await using work = await temporaryDirectory()
      const lonely = join(work.path, 'lonely')
      // Hard links: what differs is put in place of a file, never written into it.
      await execa('cp', ['-al', tree, lonely])
      await rm(join(lonely, 'etc/apt/sources.list.d'), { recursive: true, force: true })
      await rm(join(lonely, 'etc/apt/sources.list'), { force: true })
      const sources = 'deb [trusted=yes] http://127.0.0.1:9/debian stable main\n'
      await writeFile(join(lonely, 'etc/apt/sources.list'), sources, { flag: 'wx' })
      const { result } = await buildPackage(work.path, {}, { tree: lonely })
      const error = await failureOf(result)
      expect(error.code).toBe('DEPENDENCY_INDEX')
      expect(describeError(error)).toContain('127.0.0.1')
    })

    test('for lack of time is ended, with all its processes', async () => {
      await using work = await temporaryDirectory()
      const { result } = await buildPackage(
        work.path,
        { build: ['echo waiting', 'sleep 86399'] },
        { timeoutMs: 10_000 },
      )
      expect(await failureOf(result)).toMatchObject({ code: 'TIMEOUT' })
      const { stdout } = await execa('ps', ['-eo', 'args'])
      expect(stdout).not.toContain('sleep 86399')
      expect(await leftInState()).toEqual([])
    })
  })

  test('ends at once when interrupted, and leaves nothing', async () => {
    await using work = await temporaryDirectory()
    const stop = new AbortController()
    const { result } = await buildPackage(
      work.path,
      { build: ['echo interrupt me now', 'sleep 86398'] },
      {
        signal: stop.signal,
        log: (event) => {
          if (event.kind === 'output' && event.line === 'interrupt me now') stop.abort()
        },
      },
    )
    expect(await failureOf(result)).toMatchObject({ code: 'CANCELED' })
    const { stdout } = await execa('ps', ['-eo', 'args'])
    expect(stdout).not.toContain('sleep 86398')
    await expect(stat(join(work.path, 'out'))).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await leftInState()).toEqual([])
  })

  test('takes first alternatives only, as build daemons do, unless any will do', async () => {
    await using work = await temporaryDirectory()
    const dsc = await makeSourcePackage(work.path, { buildDepends: 'no-such-package | make' })
    const path = join(work.path, dsc.slice(work.path.length))
    const strict = await build(work.path, { kind: 'dsc-file', path })
    await expect(strict.result).rejects.toMatchObject({
      code: 'DEPENDENCY_UNSATISFIABLE',
      hint: expect.stringContaining('--any-alternative'),
    })
    const options = { anyAlternative: true }
    const { result } = await build(work.path, { kind: 'dsc-file', path }, { options })
    expect((await result).files.map((file) => basename(file))).toContain('tiny_1.0_amd64.deb')
  })

  test('takes packages of extra repositories under their own key, with pins, and keeps its layers apart', async () => {
    await using work = await temporaryDirectory()
    const signer = await makeSigner(work.path, 'extra')
    const tool = (version: string) =>
      buildDeb(work.path, {
        name: 'extra-tool',
        version,
        files: { 'usr/share/extra-tool': `version ${version}\n` },
      })
    // The tree has a newer one.
    const old = { name: 'libcap2-bin', version: '0.1', fields: { Architecture: 'amd64' } }
    const debs = [await tool('1.0'), await tool('2.0'), await buildDeb(work.path, old)]
    const archive = { suite: 'extra', architecture: 'amd64', forApt: true }
    await using server = await serve(await aptArchive(debs, signer, archive))
    const facts = [
      'cp /usr/share/extra-tool out',
      "dpkg-query --show --showformat '${Version}' libcap2-bin >out/libcap2-bin",
    ]
    const dsc = await makeSourcePackage(work.path, { buildDepends: 'extra-tool', build: facts })
    const stanza = join(work.path, 'extra.sources')
    await writeFile(
      stanza,
      `Types: deb\nURIs: ${server.origin}/debian\nSuites: extra\nComponents: main\n`,
    )
    const packageSources = {
      repositories: [stanza],
      keys: [signer.armouredKeyring],
      pins: ['extra-tool version 1.* 990', 'libcap2-bin version 0.1 1001'],
    }
    const source = { kind: 'dsc-file', path: dsc } as const
    const keyDigest = async () => hashFile(signer.armouredKeyring)
    const again = async (change: Partial<typeof packageSources> = {}) => {
      for (const name of ['out', 'unpacked'])
        await rm(join(work.path, name), { recursive: true, force: true })
      const options = { packageSources: { ...packageSources, ...change } }
      const { result } = await build(work.path, source, { options })
      const { record: written } = await result
      const { 'extra-tool': found, 'libcap2-bin': downgraded } = await shipped(work.path)
      return { ...written, tool: found, downgraded }
    }
    expect(await again()).toMatchObject({
      tool: 'version 1.0\n',
      downgraded: '0.1',
      options: {
        packageSources: {
          files: [
            { path: expect.stringContaining('/keyrings/'), sha256: await keyDigest() },
            { text: expect.stringContaining('Suites: extra') },
            { text: expect.stringContaining('Pin: version 0.1\n') },
            { text: expect.stringContaining('allow-downgrades') },
          ],
        },
      },
    })
    expect(await again()).toMatchObject({ layers: [{ origin: 'kept' }, { origin: 'kept' }] })
    // The same indexes: nothing but the pins tells these layers from the others.
    expect(await again({ pins: [] })).toMatchObject({
      tool: 'version 2.0\n',
      downgraded: expect.not.stringMatching(/^0\.1$/),
    })
    const without = await build(work.path, source)
    expect(await failureOf(without.result)).toMatchObject({ code: 'DEPENDENCY_UNSATISFIABLE' })
  })

  test('without a change of the source gives packages of another version, and a changelog that says so', async () => {
    await using work = await temporaryDirectory()
    const rebuild = {
      ...{ number: 1, reason: 'Rebuild it.', suffix: '~x' },
      ...{ maintainer: 'Ann <ann@example.org>', time: 981_173_106 },
    }
    const scope = { any: true, all: false, source: false }
    const { result } = await buildPackage(
      work.path,
      { build: ['cp debian/changelog out/'] },
      { options: { rebuild, scope } },
    )
    expect((await result).files.map((file) => basename(file))).toEqual([
      ...['tiny_1.0~x+b1_amd64.buildinfo', 'tiny_1.0~x+b1_amd64.deb'],
      'tiny_1.0~x+b1_amd64.changes',
    ])
    const { changelog } = await shipped(work.path, 'tiny_1.0~x+b1')
    expect(changelog).toMatch(/^tiny \(1\.0~x\+b1\) \w+; urgency=low, binary-only=yes\n/)
    expect(changelog).toMatch(/\n {2}\* Rebuild it\.\n[^]*\ntiny \(1\.0\) unstable;/)
  })

  test('of the source alone gives just that', async () => {
    await using work = await temporaryDirectory()
    await makeSourceDirectory(join(work.path, 'tiny'))
    const options = { scope: { any: false, all: false, source: true } }
    const source = { kind: 'directory', path: join(work.path, 'tiny') } as const
    const { result } = await build(work.path, source, { options })
    expect((await result).files.map((file) => basename(file))).toEqual([
      ...['tiny_1.0.dsc', 'tiny_1.0.tar.xz', 'tiny_1.0_source.buildinfo'],
      'tiny_1.0_source.changes',
    ])
  })

  test('of the example gives its two packages, and runs its tests against them', async () => {
    await using work = await temporaryDirectory()
    const path = fileURLToPath(new URL('../../../examples/debian-package', import.meta.url))
    const output = join(work.path, 'out')
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, path, '--output', output, '--autopkgtest'],
    )
    const { stdout } = await execa(program, args)
    expect(stdout).toContain('tests: 1 passed, 0 skipped')
    const log = await readFile(join(output, 'autopkgtest/greets/output.log'), 'utf8')
    expect(log).toContain('exit status 0')
    const debs = (await readdir(output)).filter((file) => file.endsWith('.deb'))
    expect(debs).toEqual(['greet-doc_1.0_all.deb', 'greet_1.0_all.deb'])
    const { stdout: list } = await execa('dpkg-deb', ['--contents', join(output, debs[1] ?? '')])
    expect(list).toMatch(/^-rwxr-xr-x root\/root .* \.\/usr\/bin\/greet$/m)
  })

  test('that is killed takes its container along, and the next one removes the rest', async () => {
    await using work = await temporaryDirectory()
    const dsc = await makeSourcePackage(work.path, {
      build: ['echo kill me now', 'sleep 86397'],
    })
    const output = join(work.path, 'out')
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, dsc, '--output', output],
    )
    const child = execa(program, args, {
      all: true,
      reject: false,
      stdin: 'ignore',
    })
    let said = ''
    child.all.on('data', (chunk: Buffer) => (said += chunk.toString()))
    await expect.poll(() => said, { timeout: 60_000 }).toMatch(/^kill me now$/m)
    child.kill('SIGKILL')
    await child
    await expect
      .poll(async () => (await execa('ps', ['-eo', 'args'])).stdout)
      .not.toContain('sleep 86397')
    expect(await leftInState()).not.toEqual([])
    expect(removeStaleBuilds(state)).toHaveLength(1)
    expect(await leftInState()).toEqual([])
  })

  test('leaves its directories when asked to, which no later build takes away', async () => {
    await using work = await temporaryDirectory()
    const { result, events } = await buildPackage(work.path, {}, { keep: true })
    await result
    const [kept = '', ...others] = await leftInState()
    expect(others).toEqual([])
    try {
      const text = expect.stringContaining(`kept: ${join(state, 'builds', kept)};`)
      expect(events).toContainEqual({ kind: 'notice', text })
      const built = join(state, 'builds', kept, 'upper/build/reproducible-path')
      expect(await readdir(built)).toContain('tiny_1.0_amd64.deb')
      expect(removeStaleBuilds(state)).toEqual([])
      expect(await leftInState()).toEqual([kept])
    } finally {
      await rm(join(state, 'builds', kept), { recursive: true })
    }
  })

  test('that fails opens a shell right there, which a pipe can feed', async () => {
    await using work = await temporaryDirectory()
    const dsc = await makeSourcePackage(work.path, { build: ['echo half > out/half', 'exit 3'] })
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, dsc, '--output', join(work.path, 'out')],
      '--shell-on-failure',
    )
    const input = 'id -un; pwd; cat out/half; echo "$HOME"; ls /sys/class/net; exit 7\n'
    const { exitCode, stdout } = await execa(program, args, { reject: false, input })
    expect(exitCode).toBe(1)
    expect(stdout).toBe(
      ['builder', '/build/reproducible-path/tiny-1.0', 'half', '/nonexistent', 'lo'].join('\n'),
    )
    expect(await leftInState()).toEqual([])
    const both = await execa(program, ['--json', ...args], { reject: false })
    expect(both.exitCode).toBe(2)
  })

  test('of a directory makes the source package first, and hands it out when asked', async () => {
    await using work = await temporaryDirectory()
    const path = join(work.path, 'tiny')
    await makeSourceDirectory(path, { build: ['cp README out/'] })
    const { result } = await build(
      work.path,
      { kind: 'directory', path },
      { options: { scope: { any: true, all: true, source: true } } },
    )
    await result
    const files = await readdir(join(work.path, 'out'))
    expect(files).toEqual([
      'build-steps',
      'build.json',
      'build.log',
      'build.provenance.json',
      'tiny_1.0.dsc',
      'tiny_1.0.tar.xz',
      'tiny_1.0_amd64.buildinfo',
      'tiny_1.0_amd64.changes',
      'tiny_1.0_amd64.deb',
    ])
    expect((await shipped(work.path))['README']).toBe('A fixture.\n')
    expect(await readdir(path)).toEqual(['README', 'debian'])
  })

  test('of a quilt package without its tarball builds the directory as it is, to the owner asked for', async () => {
    await using work = await temporaryDirectory()
    const path = join(work.path, 'tiny')
    await makeSourceDirectory(path, { version: '1.0-2', format: '3.0 (quilt)' })
    const { result } = await build(
      work.path,
      { kind: 'directory', path },
      { owner: { uid: 1234, gid: 1235 } },
    )
    const { files, logPath } = await result
    for (const file of [...files, logPath, join(work.path, 'out')]) {
      const facts = await stat(file)
      expect([facts.uid, facts.gid]).toEqual([1234, 1235])
    }
  })

  test('refuses a tree that is no Debian, before anything is made', async () => {
    await using work = await temporaryDirectory()
    const other = join(work.path, 'other')
    await mkdir(join(other, 'usr/bin'), { recursive: true })
    const { result } = await build(
      work.path,
      { kind: 'name', name: 'hello', version: undefined },
      { tree: other },
    )
    expect(await failureOf(result)).toMatchObject({ code: 'INVALID_TREE' })
    expect(await readdir(work.path)).toEqual(['other'])
  })
})
