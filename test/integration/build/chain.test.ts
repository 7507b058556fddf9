/** Several sources in one go, in real containers: in order, each with the packages of those that it needs. */
import { execa } from 'execa'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { removeStaleBuilds } from '../../../src/build/build-place.ts'
import type { ChainRecord } from '../../../src/build/chain/record.ts'
import type { BuildRecord } from '../../../src/build/record.ts'
import { exitCodes } from '../../../src/cli/exit-codes.ts'
import { debianBuildTree } from '../../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { buildNeeds, lacks } from '../../fixtures/requires.ts'
import {
  makeSourceDirectory,
  makeSourcePackage,
  type SourceFixture,
} from '../../fixtures/source-package.ts'
import { temporaryDirectory, type TemporaryDirectory } from '../../fixtures/temporary.ts'

const readRecord = async <T>(...path: readonly string[]) =>
  JSON.parse(await readFile(join(...path), 'utf8')) as T

describe.skipIf(lacks(...buildNeeds))('a chain of Debian sources', { timeout: 300_000 }, () => {
  let tree: string
  let state: string
  beforeAll(async () => {
    tree = await debianBuildTree()
    const temporary = await temporaryDirectory()
    state = temporary.path
    return () => temporary[Symbol.asyncDispose]()
  }, 600_000)

  async function build(directory: string, sources: readonly string[], ...options: string[]) {
    const output = join(directory, 'out')
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, ...sources, '-o', output, ...options],
    )
    const ended = await execa(program, args, { reject: false, stdin: 'ignore' })
    const { exitCode, stdout, stderr } = ended
    return { exitCode, stdout, stderr, output }
  }

  /** A source directory below `directory`; its package has `build`'s files in /usr/share/NAME. */
  async function source(directory: string, name: string, fixture: SourceFixture = {}) {
    const path = join(directory, name)
    await makeSourceDirectory(path, { name, ...fixture })
    return path
  }

  const shipped = async (deb: string, path: string) =>
    (await execa('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2"', 'sh', deb, path]))
      .stdout

  describe('of which some fail', () => {
    let work: TemporaryDirectory
    let ended: Awaited<ReturnType<typeof build>>
    let record: ChainRecord
    let sources: readonly string[]
    const deb = (name: string, version = '1.0') =>
      join(ended.output, name, `${name}_${version}_amd64.deb`)
    beforeAll(async () => {
      work = await temporaryDirectory()
      const words = (name: string) => `cat /usr/share/${name}/words`
      const list = 'ls /usr/share > out/seen; ls -d /tsnspawn-packages >> out/seen 2>&1 || true'
      await mkdir(join(work.path, 'dsc'))
      sources = [
        await source(work.path, 'above', { buildDepends: 'broken' }),
        await source(work.path, 'top', {
          buildDepends: 'virtual-middle',
          build: [`(${words('middle')}; ${words('bottom')}; ${words('beside')}) > out/words`],
        }),
        await makeSourcePackage(join(work.path, 'dsc'), {
          name: 'middle',
          version: '2.0',
          buildDepends: 'bottom (>= 1) | beside, top <stage1>, beside [s390x]',
          // Only the package says that it needs another source's.
          depends: 'bottom, beside',
          provides: 'virtual-middle (= 2)',
          build: [`(${words('bottom')}; echo middle) > out/words`, list],
        }),
        await source(work.path, 'bottom', { build: ['echo bottom > out/words'] }),
        await source(work.path, 'beside', { build: ['echo beside > out/words'] }),
        await source(work.path, 'broken', { build: ['false'] }),
        await source(work.path, 'hungry', { buildDepends: 'nosuch-package' }),
      ]
      ended = await build(work.path, sources, '--continue', '--jobs=2')
      record = await readRecord(ended.output, 'chain.json')
      return () => work[Symbol.asyncDispose]()
    }, 300_000)

    test('goes on with what does not need the failed ones, and ends with the worst status', async () => {
      const { exitCode, stdout, stderr, output } = ended
      expect(exitCode).toBe(exitCodes.dependency)
      expect(stdout).toMatch(/^top +1\.0 +built +[\d.]+ s middle$/m)
      expect(stdout).toMatch(/^above +1\.0 +not tried +broken \(broken failed\)$/m)
      expect(stderr).toMatch(/^warning: broken: broken 1\.0: cannot build the packages/m)
      expect(stderr).toMatch(/^broken \| false$/m)
      expect(stderr).toMatch(/^tsnspawn-build: 2 of 7 builds failed, and 1 were not tried/m)
      expect(record.builds.map(({ name, result }) => `${name} ${result}`)).toEqual([
        'above left-out',
        ...['top', 'middle', 'bottom', 'beside'].map((name) => `${name} succeeded`),
        ...['broken', 'hungry'].map((name) => `${name} failed`),
      ])
      expect((await readdir(output)).toSorted()).toEqual([
        ...['beside', 'bottom', 'broken', 'chain.json', 'hungry', 'middle', 'top'],
      ])
      expect((await readdir(join(output, 'broken'))).toSorted()).toEqual([
        ...['build-steps', 'build.json', 'build.log'],
      ])
      expect(removeStaleBuilds(state)).toEqual([])
    })

    test('is built in order, each source with what it needs of the others and nothing else', async () => {
      expect(record.levels).toEqual([
        ['bottom', 'beside', 'broken', 'hungry'],
        ['above', 'middle'],
        ['top'],
      ])
      expect(
        record.builds
          .slice(1, 5)
          .map(({ name, needs, depends, given, jobs }) => [
            name,
            needs.map((one) => `${one.packages.join()} of ${one.name}`).join(),
            depends.map((one) => one.name).join(),
            given.join(),
            jobs,
          ]),
      ).toEqual([
        ['top', 'virtual-middle of middle', '', 'middle,bottom,beside', 2],
        ['middle', 'bottom of bottom', 'bottom,beside', 'bottom', 1],
        ['bottom', '', '', '', 1],
        ['beside', '', '', '', 1],
      ])
      expect(await shipped(deb('top'), './usr/share/top/words')).toBe(
        'bottom\nmiddle\nbottom\nbeside',
      )
      const seen = await shipped(deb('middle', '2.0'), './usr/share/middle/seen')
      expect(seen).toMatch(/^bottom$/m)
      expect(seen).not.toMatch(/^beside$/m)
      const built = await readRecord<BuildRecord>(ended.output, 'top', 'build.json')
      expect(record.builds[1]?.id).toMatch(/\S/)
      expect(built.repository).toMatchObject([
        { name: 'middle', version: '2.0', file: 'middle_2.0_amd64.deb' },
        { name: 'bottom' },
        { name: 'beside' },
      ])
    })

    test('builds again only what has changed, and what was given that', async () => {
      await rm(join(work.path, 'beside'), { recursive: true })
      await source(work.path, 'beside', { build: ['echo other > out/words'] })
      const again = await build(work.path, sources.slice(1, 5), '--if-changed', '--jobs=2')
      expect(again.stdout.match(/^\w+ +\d\.\d +\w+/gm)).toEqual([
        expect.stringMatching(/^top .* built$/),
        expect.stringMatching(/^middle .* unchanged$/),
        expect.stringMatching(/^bottom .* unchanged$/),
        expect.stringMatching(/^beside .* built$/),
      ])
      expect(await shipped(deb('top'), './usr/share/top/words')).toBe(
        'bottom\nmiddle\nbottom\nother',
      )
      expect(removeStaleBuilds(state)).toEqual([])
    })

    test('shows its repository to apt alone', async () => {
      const seen = await shipped(deb('middle', '2.0'), './usr/share/middle/seen')
      expect(seen).toMatch(/cannot access '\/tsnspawn-packages'/)
    })
  })

  test('of the example gives its three packages, whatever the order they are given in, and twice the same', async () => {
    await using work = await temporaryDirectory()
    const example = (name: string) =>
      fileURLToPath(new URL(`../../../examples/debian-chain/${name}`, import.meta.url))
    const sources = ['word-book', 'word-index', 'words'].map(example)
    const { exitCode, stdout, output } = await build(work.path, sources, '--reproducible')
    expect(exitCode).toBe(0)
    expect(stdout.match(/^[\w-]+ +1\.0 +reproducible/gm)).toHaveLength(3)
    const book = join(output, 'word-book/word-book_1.0_all.deb')
    expect(await shipped(book, './usr/share/doc/words/book')).toBe('apple\nfig\npear')
  })

  test('is refused when its sources need each other, with what they need each other for', async () => {
    await using work = await temporaryDirectory()
    const { exitCode, stderr, output } = await build(work.path, [
      await source(work.path, 'hen', { buildDepends: 'egg' }),
      await source(work.path, 'egg', { buildDepends: 'hen' }),
    ])
    expect(stderr).toContain(
      'the sources need each other: hen needs egg of egg; egg needs hen of hen',
    )
    expect(exitCode).toBe(exitCodes.dependency)
    await expect(readdir(output)).rejects.toThrow('ENOENT')
  })

  test('is told beforehand, and nothing is built', async () => {
    await using work = await temporaryDirectory()
    const sources = [
      await source(work.path, 'top', { buildDepends: 'virtual, hello' }),
      await source(work.path, 'low', { provides: 'virtual', version: '3' }),
    ]
    const { exitCode, stdout, output } = await build(work.path, sources, '--dry-run', '--jobs=4')
    expect(stdout).toBe(
      'TURN NAME VERSION JOBS NEEDS\n   1 low  3          4\n   2 top  1.0        4 virtual of low',
    )
    expect(exitCode).toBe(0)
    await expect(readdir(output)).rejects.toThrow('ENOENT')
  })

  test('that is interrupted ends all that was under way, and leaves what was built before', async () => {
    await using work = await temporaryDirectory()
    const names = ['left', 'right']
    const sources = [await source(work.path, 'quick')]
    for (const name of names)
      sources.push(await source(work.path, name, { buildDepends: 'quick', build: ['sleep 1000'] }))
    const output = join(work.path, 'out')
    const [program, ...args] = tsnspawnBuild(
      ...['--state-dir', state, 'build', tree, ...sources, '-o', output, '--jobs=2'],
    )
    const running = execa(program, args, { reject: false, stdin: 'ignore' })
    const asleep = new Set<string>()
    for await (const line of running.iterable({ from: 'stderr' })) {
      const name = /^(\w+) \| sleep 1000$/.exec(line)?.[1]
      if (name !== undefined && asleep.add(name).size === names.length) running.kill('SIGINT')
    }
    const { exitCode, stderr } = await running
    expect(stderr).toContain('interrupted, nothing half-made is left')
    expect(stderr).not.toContain('warning')
    expect(exitCode).toBe(130)
    expect(removeStaleBuilds(state)).toEqual([])
    expect((await readdir(output)).toSorted()).toEqual(['chain.json', 'quick'])
    const { result, builds } = await readRecord<ChainRecord>(output, 'chain.json')
    expect(result).toBe('canceled')
    const ends = builds.map((one) => [one.name, one.result, one.failure?.code])
    expect(ends).toEqual([
      ['quick', 'succeeded', undefined],
      ['left', 'failed', 'CANCELED'],
      ['right', 'failed', 'CANCELED'],
    ])
  })

  test('ready packages win over those of the archive and take the place of installed ones, whatever their version', async () => {
    await using work = await temporaryDirectory()
    const ready = join(work.path, 'ready')
    await mkdir(join(ready, 'below'), { recursive: true })
    const deb = async (path: string, name: string) => {
      const root = join(work.path, `root-${name}`)
      await mkdir(join(root, 'DEBIAN'), { recursive: true })
      const control = `Package: ${name}\nVersion: 0.1\nArchitecture: all\nMaintainer: Tiny <tiny@example.org>\nDescription: ready\n`
      await writeFile(join(root, 'DEBIAN/control'), control)
      await execa('dpkg-deb', ['--root-owner-group', '--build', root, path])
    }
    await deb(join(ready, 'below', 'hello_0.1_all.deb'), 'hello')
    // The tree has it, newer.
    await deb(join(work.path, 'libcap2-bin_0.1_all.deb'), 'libcap2-bin')
    const version = "dpkg-query -W -f '${Version}\\n'"
    const one = await source(work.path, 'one', {
      buildDepends: 'hello',
      build: [`${version} hello libcap2-bin > out/versions`],
    })
    const options = ['--add-repository', ready, '--add-package']
    const { exitCode, output, stderr } = await build(
      work.path,
      [one],
      ...options,
      join(work.path, 'libcap2-bin_0.1_all.deb'),
    )
    expect(stderr).toContain('put ready packages in the place of others')
    expect(exitCode).toBe(0)
    const deps = join(output, 'one_1.0_amd64.deb')
    expect(await shipped(deps, './usr/share/one/versions')).toBe('0.1\n0.1')
    const refused = await build(work.path, [one], ...options, join(one, 'README'))
    expect(refused.stderr).toContain('the file is no package for apt')
    expect(refused.exitCode).toBe(exitCodes.usage)
  })
})
