/**
 * How long a Debian tree takes that nothing is kept for, beside mmdebstrap and debootstrap, and how much memory:
 * `node scripts/run.mjs test/bench/create.ts` (as root; from a mirror on loopback that has asked that of this host's apt).
 *
 * Each gets an empty file system, and makes one tree before that counts for nothing but the mirror. `--rounds=N` sets how
 * often each makes one (default 3).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectHost } from '../../src/bootstrap/host.ts'
import { planTree } from '../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../src/bootstrap/strategies.ts'
import debian from '../../recipes/debian.ts'
import { testDirectory } from '../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { keepTable, median } from './bench.ts'
import { cachingMirror } from './caching-mirror.ts'
import { EmptyDisk } from './empty-disk.ts'

const variant = 'minbase'
const reference = 'mmdebstrap'

interface Run {
  readonly ms: number
  /** Most that the process itself had; 0 for those of other people. */
  readonly peakBytes: number
}

async function timed(argv: readonly string[]): Promise<Run> {
  const [program, ...args] = argv
  const began = performance.now()
  const running = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  running.stderr
    .setEncoding('utf8')
    .on('data', (text: string) => (said = (said + text).slice(-2000)))
  let peakBytes = 0
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${running.pid}/status`, 'utf8')
      const peak = Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
      // One that has just ended has none any more.
      peakBytes = Math.max(peakBytes, peak)
    } catch {
      // It has just ended.
    }
  }, 50)
  const [status] = (await once(running, 'close')) as [number | null]
  clearInterval(look)
  if (status !== 0) throw new Error(`${argv.join(' ')} ended with ${status}: ${said}`)
  return { ms: performance.now() - began, peakBytes }
}

const host = inspectHost()
const plan = planTree({ recipe: 'debian', variant }, debian, host, strategiesOf(debian), '/')
if (plan.archive.family !== 'apt') throw new Error('Debian has another family now')
const { archive, release } = plan

type Sources = readonly (readonly [mirror: string, suite: string])[]

/** What each would run for a fresh tree below `room`, from the release itself and from what its updates are in. */
const contestants: Readonly<
  Record<string, (room: string, mirror: string, updates: Sources) => readonly string[]>
> = {
  mmdebstrap: (room, mirror, updates) => [
    ...['mmdebstrap', `--variant=${variant}`, '--format=directory', release, join(room, 'mm')],
    line(mirror, release),
    ...updates.map((source) => line(...source)),
  ],
  embedded: (room, mirror, updates) =>
    tsnspawnBuild(
      ...['--machines-dir', join(room, 'machines'), '--state-dir', join(room, 'state')],
      ...['create', 'debian', 'tree', '--release', release, '--variant', variant],
      ...['--via', 'embedded', '--mirror', mirror],
      // Named one by one, so that all of them come from where the others' do.
      '--no-updates',
      ...updates.flatMap((source) => ['--repo', line(...source)]),
    ),
  debootstrap: (room, mirror) => [
    ...['debootstrap', `--variant=${variant}`, `--keyring=${archive.keyring}`, release],
    ...[join(room, 'de'), mirror],
  ],
}

function line(mirror: string, suite: string): string {
  return `deb [signed-by=${archive.keyring}] ${mirror} ${suite} main`
}

const rounds = Number(/^--rounds=(\d+)$/.exec(process.argv[2] ?? '')?.[1] ?? 3)
await mkdir(testDirectory, { recursive: true })
await using near = await cachingMirror([
  archive.mirror,
  ...archive.extraSuites.map(({ mirror }) => mirror),
])
using disk = new EmptyDisk(join(testDirectory, 'bench-create'))
const updates = archive.extraSuites.map(({ suite, mirror }) => [near.at(mirror), suite] as const)
const runs = new Map<string, Run[]>()
for (let round = 0; round <= rounds; round++) {
  for (const [name, command] of Object.entries(contestants)) {
    // Nobody pays for what the one before has removed.
    disk.empty()
    const room = join(disk.path, 'room')
    await mkdir(room)
    const before = near.asked
    const run = await timed(command(room, near.at(archive.mirror), updates))
    const asked = near.asked - before
    const seconds = (run.ms / 1000).toFixed(1)
    console.log(`${name} ${seconds} s${round === 0 ? ` (fills the mirror: ${asked} files)` : ''}`)
    if (round === 0) continue
    if (asked > 0)
      throw new Error(`${name} asked for ${asked} files that it had not asked for before`)
    runs.set(name, [...(runs.get(name) ?? []), run])
  }
}
const typical = (name: string) => median(runs.get(name)!.map(({ ms }) => ms))
const lines = [
  row('what', 's', 'ratio', 'budget', 'memory'),
  row('---', '---:', '---', '---', '---'),
]
for (const name of runs.keys()) {
  const peak = Math.max(...runs.get(name)!.map(({ peakBytes }) => peakBytes)) / 1_000_000
  const ours = name === 'embedded'
  lines.push(
    row(
      ours ? 'tsnspawn-build create debian' : name,
      (typical(name) / 1000).toFixed(1),
      name === reference ? '' : `${(typical(name) / typical(reference)).toFixed(2)}× ${reference}`,
      ours ? '≤ 0.7×' : '',
      ours ? `${peak.toFixed(0)} MB (≤ 300 MB)` : '',
    ),
  )
}
const table = lines.join('\n')
console.log(table)
keepTable(
  'create',
  `Medians of ${rounds} trees of Debian stable, variant ${variant}, packages from a mirror on loopback each time (debootstrap: without updates)`,
  table,
)
