/**
 * Builds real sources of the archive with sbuild and with ours, and writes down how their results differ:
 * `sudo npm run sbuild-table`, or with names of sources behind it to do those alone. Takes some minutes for each.
 */
import { execa } from 'execa'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { enterOwnRun } from '../test/bench/bench.ts'
import { differingMembers } from '../test/fixtures/compare-debs.ts'
import { debianSuite, testDirectory } from '../test/fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../test/fixtures/programs.ts'
import { archiveSource, lendIds, sbuildCommand, sbuildTree } from '../test/fixtures/sbuild.ts'
import { row } from '../test/fixtures/table.ts'

const page = 'docs/sbuild.md'

/** Small ones, of all kinds. */
const sources: Readonly<Record<string, string>> = {
  hello: 'autotools, tests',
  hostname: 'C, native',
  tree: 'plain make',
  tinyxml2: 'cmake, library',
  'spice-protocol': 'meson, for all architectures',
  libyaml: 'autotools, library with development files, tests',
  'libregexp-shellish-perl': 'Perl, for all architectures, tests',
  'libjson-xs-perl': 'Perl with C, tests',
  readlike: 'Python, for all architectures',
  libslirp: 'meson, library, GLib',
  cowsay: 'scripts, two packages',
  memstat: 'format 1.0',
  'fonts-kristi': 'data only',
}

enterOwnRun()

const place = join(testDirectory, 'sbuild-table')
const suite = await debianSuite()
const jobs = 2
await mkdir(place, { recursive: true, mode: 0o755 })
await lendIds(place)

const machines = join(place, 'machines')
const tree = join(machines, suite)
const ours = (...words: string[]) =>
  tsnspawnBuild('--machines-dir', machines, '--state-dir', join(place, 'state'), ...words)

async function emptyRoom(name: string): Promise<string> {
  const room = join(place, name)
  await rm(room, { recursive: true, force: true })
  await mkdir(room, { mode: 0o755 })
  return room
}

/** Runs a builder in its room; how long it took in milliseconds, or the end of what it said. */
async function run(argv: readonly [string, ...string[]], cwd: string): Promise<number | string> {
  const [program, ...args] = argv
  const began = performance.now()
  const { exitCode, all } = await execa(program, args, {
    cwd,
    stdin: 'ignore',
    reject: false,
    all: true,
  })
  if (exitCode === 0) return performance.now() - began
  return `ended with ${exitCode}: ${all.trim().split('\n').at(-1) ?? ''}`
}

async function filesOf(room: string, end: string): Promise<readonly string[]> {
  return (await readdir(room)).filter((name) => name.endsWith(end)).toSorted()
}

/** Fields of a `.buildinfo` that say what the build saw. */
async function buildInfo(room: string): Promise<{ installed: Set<string>; environment: string }> {
  const [name = ''] = await filesOf(room, '.buildinfo')
  const text = await readFile(join(room, name), 'utf8')
  const field = (key: string) =>
    new RegExp(`^${key}:((?:.*)(?:\\n .*)*)`, 'm').exec(text)?.[1] ?? ''
  const words = field('Installed-Build-Depends').split(',')
  return {
    installed: new Set(words.map((word) => word.trim()).filter((word) => word !== '')),
    environment: field('Environment'),
  }
}

const digest = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

async function compareResults(mine: string, theirs: string): Promise<string> {
  const [my, their] = [await filesOf(mine, '.deb'), await filesOf(theirs, '.deb')]
  if (my.join() !== their.join())
    return `other packages: ${my.join(' ')}; sbuild ${their.join(' ')}`
  const notes: string[] = []
  for (const name of my) {
    const [one, other] = [join(mine, name), join(theirs, name)]
    if ((await digest(one)) === (await digest(other))) continue
    const members = await differingMembers(one, other)
    notes.push(`${name}: ${members.length === 0 ? 'compressed otherwise' : members.join(', ')}`)
  }
  return notes.length === 0 ? `${my.length} the same` : notes.join('; ')
}

async function comparePackages(mine: string, theirs: string): Promise<string> {
  const [my, their] = [await buildInfo(mine), await buildInfo(theirs)]
  const only = (a: Set<string>, b: Set<string>) => [...a].filter((name) => !b.has(name))
  const [more, fewer] = [only(my.installed, their.installed), only(their.installed, my.installed)]
  const packages =
    more.length + fewer.length === 0
      ? `${my.installed.size} the same`
      : [...more.map((name) => `+ ${name}`), ...fewer.map((name) => `- ${name}`)].join(', ')
  return my.environment === their.environment
    ? packages
    : `${packages}; environment:${inLine(my.environment)}, sbuild's${inLine(their.environment)}`
}

function inLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}

async function compare(name: string, kind: string, chroot: string): Promise<string> {
  const dsc = await archiveSource(join(place, 'sources'), suite, name).catch((error: unknown) => {
    console.error(String(error))
    return undefined
  })
  if (dsc === undefined) return row(name, kind, 'the mirror does not have it', '', '')
  const theirs = await emptyRoom('theirs')
  const theirTime = await run(
    await sbuildCommand({ chroot, suite, jobs, dsc, room: theirs }),
    theirs,
  )
  const mine = await emptyRoom('mine')
  const argv = ours('build', suite, dsc, '--no-layers', '--output', mine, '--jobs', String(jobs))
  const myTime = await run(argv, mine)
  if (typeof theirTime === 'string' || typeof myTime === 'string') {
    const said = (time: number | string) => (typeof time === 'string' ? time : 'succeeded')
    return row(name, kind, `ours ${said(myTime)}; sbuild ${said(theirTime)}`, '', '')
  }
  return row(
    name,
    kind,
    await compareResults(mine, theirs),
    await comparePackages(mine, theirs),
    `${(myTime / theirTime).toFixed(2)}×`,
  )
}

/** Puts a source's row in the place of the one that it had; rows are in the order of the list above. */
function keepRow(name: string, line: string): void {
  const marked = /(<!-- table -->\n\n.*\n.*\n)([\s\S]*?)(\n<!-- end of table -->)/
  const text = readFileSync(page, 'utf8')
  const body = marked.exec(text)?.[2]
  if (body === undefined) throw new Error(`${page} has no place for the table`)
  const before = body.split('\n').filter((one) => one.startsWith('|'))
  const nameOf = (one: string) => one.split('|')[1]?.trim() ?? ''
  const rows = new Map(before.map((one) => [nameOf(one), one])).set(name, line)
  const sorted = Object.keys(sources).flatMap((known) => rows.get(known) ?? [])
  writeFileSync(
    page,
    text.replace(marked, (_all, head: string, _body, tail: string) =>
      [head, sorted.map((one) => `${one}\n`).join(''), tail].join(''),
    ),
  )
}

const asked = process.argv.slice(2)
const chroot = await sbuildTree(place, suite)
await run(ours('create', 'debian', suite, '--release', suite), place)
await readdir(tree)
for (const [name, kind] of Object.entries(sources)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const line = await compare(name, kind, chroot)
  console.log(line)
  keepRow(name, line)
}
