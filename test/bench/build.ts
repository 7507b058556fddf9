/**
 * How long a package takes to build once everything that can be kept is kept, beside the builders that people use:
 * `node scripts/run.mjs test/bench/build.ts` (as root on Debian). A source without a compiler shows what the builder itself
 * takes; `hello` is a real one, also built by dpkg-buildpackage alone in a tree that has all it needs.
 *
 * Each builds everything once before that counts for nothing. `--rounds=N` sets how often each builds then (default 3).
 */
import { execa } from 'execa'
import { existsSync } from 'node:fs'
import { chmod, copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { debianSuite, debianTree, testDirectory } from '../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import {
  archiveSource,
  debianMirror,
  lendIds,
  sbuildCommand,
  sbuildTree,
} from '../fixtures/sbuild.ts'
import { makeSourcePackage } from '../fixtures/source-package.ts'
import { row } from '../fixtures/table.ts'
import { enterOwnRun, keepTable, median } from './bench.ts'

interface Source {
  readonly title: string
  /** Absolute path of the `.dsc`. */
  readonly dsc: string
  readonly beside: Readonly<Record<string, string>>
}

interface Builder {
  readonly name: string
  /** Names of the sources that it takes part with. */
  readonly sources: readonly string[]
  /** Makes what it keeps, unless that is there. */
  readonly setUp: () => Promise<void>
  /** What is done before the clock starts, and the command line that is timed. */
  readonly begin: (source: Source, room: string) => Promise<readonly [string, ...string[]]>
}

enterOwnRun()

const place = join(testDirectory, 'bench-build')
const suite = await debianSuite()
const tree = await debianTree()
const jobs = 2

/** What the peers keep on a host stays below our own directory; whoever builds with sbuild needs ids to map. */
async function setScene(): Promise<void> {
  const bin = join(place, 'bin')
  await mkdir(bin, { recursive: true, mode: 0o755 })
  // Without systemd on the host, units are nothing that debspawn's containers can ask for.
  const wrapper = join(bin, 'systemd-nspawn')
  await writeFile(wrapper, '#!/bin/sh\nexec /usr/bin/systemd-nspawn --keep-unit "$@"\n')
  await chmod(wrapper, 0o755)
  process.env['PATH'] = bin + delimiter + process.env['PATH']
  for (const kept of ['/var/lib/debspawn', '/var/cache/pbuilder']) {
    const own = join(place, 'kept', kept)
    await mkdir(own, { recursive: true })
    if (kept.endsWith('pbuilder') && !existsSync(join(own, 'build')))
      await cp(kept, own, { recursive: true })
    await mkdir(kept, { recursive: true })
    await execa('mount', ['--bind', own, kept])
  }
  await lendIds(place)
}

await setScene()
const mirror = await debianMirror(suite)
const chroot = await sbuildTree(place, suite)
const bare = join(place, 'bare')

async function once(path: string, argv: readonly [string, ...string[]]): Promise<void> {
  if (existsSync(path)) return
  const [program, ...args] = argv
  console.log(`making ${path}`)
  try {
    await execa(program, args, { stdin: 'ignore' })
  } catch (error) {
    await rm(path, { recursive: true, force: true })
    throw error
  }
}

/** Build dependencies of `hello`, and what lets it be built by a user. */
const needs = ['debhelper', 'help2man', 'texinfo', 'fakeroot']
const both = ['trivial', 'hello']
const alone = 'dpkg-buildpackage alone'
const builders: readonly Builder[] = [
  {
    name: 'tsnspawn-build build',
    sources: both,
    setUp: async () => {},
    begin: async ({ dsc }, room) => {
      const words = ['build', tree, dsc, '--output', room, '--jobs', String(jobs)]
      return tsnspawnBuild('--state-dir', join(place, 'state'), ...words)
    },
  },
  {
    name: 'sbuild',
    sources: both,
    setUp: async () => {},
    begin: ({ dsc }, room) => sbuildCommand({ chroot, suite, jobs, dsc, room }),
  },
  {
    name: 'debspawn',
    sources: ['trivial'],
    setUp: async () => {
      const image = `/var/lib/debspawn/images/${suite}-buildd-amd64.tar.zst`
      await once(image, ['debspawn', 'create', '--suite', suite, '--mirror', mirror, suite])
    },
    begin: async ({ dsc }, room) => ['debspawn', 'build', '--results-dir', room, suite, dsc],
  },
  {
    name: 'cowbuilder',
    sources: ['trivial'],
    setUp: async () => {
      const words = ['--distribution', suite, '--mirror', mirror, '--components', 'main']
      await once('/var/cache/pbuilder/base.cow', ['cowbuilder', '--create', ...words])
    },
    begin: async ({ dsc }, room) => ['cowbuilder', '--build', dsc, '--buildresult', room],
  },
  {
    name: alone,
    sources: ['hello'],
    setUp: async () => {
      if (existsSync(join(bare, 'build'))) return
      await rm(bare, { recursive: true, force: true })
      await mkdir(bare)
      await execa('tar', ['--extract', '--numeric-owner', '--file', chroot, '--directory', bare])
      await copyFile('/etc/resolv.conf', join(bare, 'etc/resolv.conf'))
      const install = ['install', '--yes', '--no-install-recommends', ...needs]
      for (const words of [['update'], install])
        await execa('chroot', [bare, 'apt-get', ...words], { stdin: 'ignore' })
      await mkdir(join(bare, 'build'))
    },
    begin: async ({ dsc }) => {
      const source = join(bare, 'build/source')
      await rm(source, { recursive: true, force: true })
      await execa('dpkg-source', ['--extract', dsc, source])
      await execa('chown', ['-R', 'nobody', join(bare, 'build')])
      const command = ['dpkg-buildpackage', '-us', '-uc', '-b', '-rfakeroot', `-j${jobs}`]
      const words = ['env', '-C', '/build/source', 'HOME=/build', 'LC_ALL=C.UTF-8', ...command]
      return ['chroot', '--userspec=nobody', bare, ...words]
    },
  },
]

async function timed(builder: Builder, source: Source): Promise<number> {
  const room = join(place, 'room')
  await rm(room, { recursive: true, force: true })
  await mkdir(room)
  const [program, ...args] = await builder.begin(source, room)
  const began = performance.now()
  await execa(program, args, { cwd: room, stdin: 'ignore', all: true })
  return performance.now() - began
}

const rounds = Number(/^--rounds=(\d+)$/.exec(process.argv[2] ?? '')?.[1] ?? 3)
for (const { setUp } of builders) await setUp()

const trivialPlace = join(place, 'sources/trivial')
await rm(trivialPlace, { recursive: true, force: true })
await mkdir(trivialPlace, { recursive: true })
const sources: Readonly<Record<string, Source>> = {
  trivial: {
    title: 'a .deb without a compiler',
    dsc: await makeSourcePackage(trivialPlace),
    beside: { sbuild: '≤ 0.12×', debspawn: '≤ 0.3×', cowbuilder: '≤ 0.5×' },
  },
  hello: {
    title: '`hello`',
    dsc: await archiveSource(join(place, 'sources'), suite, 'hello'),
    beside: { sbuild: '≤ 0.6×', [alone]: '≤ 1 s more' },
  },
}

const times = new Map<string, number[]>()
for (let round = 0; round <= rounds; round++) {
  for (const [name, source] of Object.entries(sources)) {
    for (const builder of builders.filter((one) => one.sources.includes(name))) {
      const ms = await timed(builder, source)
      console.log(`${name}: ${builder.name} ${(ms / 1000).toFixed(2)} s`)
      const key = `${name} ${builder.name}`
      if (round > 0) times.set(key, [...(times.get(key) ?? []), ms])
    }
  }
}

const typical = (source: string, builder: string) => median(times.get(`${source} ${builder}`) ?? [])
const lines = [row('what', 's', 'ours beside it', 'budget'), row('---', '---:', '---', '---')]
for (const [name, { title, beside }] of Object.entries(sources)) {
  for (const builder of builders.filter((one) => one.sources.includes(name))) {
    const ms = typical(name, builder.name)
    const ours = typical(name, builders[0]!.name)
    const ratio = `${(ours / ms).toFixed(2)}×`
    const more = `${((ours - ms) / 1000).toFixed(1)} s more`
    const ratioOrMore = builder.name === alone ? more : ratio
    lines.push(
      row(
        `${title}: ${builder.name}`,
        (ms / 1000).toFixed(2),
        builder === builders[0] ? '' : ratioOrMore,
        beside[builder.name] ?? '',
      ),
    )
  }
}
const table = lines.join('\n')
console.log(table)
const version = (await readFile('/etc/debian_version', 'utf8')).trim()
keepTable('build', `Medians of ${rounds} builds after the first, on Debian ${version}`, table)
