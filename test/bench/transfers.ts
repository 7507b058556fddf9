/**
 * How much memory imports and exports take, small and large beside each other: `node scripts/run.mjs test/bench/transfers.ts`
 * (as root, on a disk with 8 GB to spare). Prints a table of peaks and keeps it in docs/performance.md.
 *
 * `--large=N` sets the size of the large image in MiB (default 1024).
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { testDirectory } from '../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { keepTable } from './bench.ts'

const BUDGET_MB = 120
const SMALL_MIB = 32
const largeMib = Number(
  process.argv.find((arg) => arg.startsWith('--large='))?.slice('--large='.length) ?? 1024,
)
const directory = join(testDirectory, 'bench-transfers')
const machines = join(directory, 'machines')

/** Files with the same contents, packed in different ways. */
function makeInputs(mib: number): string {
  const place = join(directory, String(mib))
  mkdirSync(join(place, 'tree/etc'), { recursive: true })
  const script = `
    set -e; cd "$1"
    seq 1 1000000000 | head -c "$2"M > tree/data
    echo ID=bench > tree/etc/os-release
    ln tree/data disk.raw
    xz -0 -T0 -k disk.raw
    qemu-img convert -c -f raw -O qcow2 disk.raw disk.qcow2
    tar -C tree -cf - . | zstd -q > tree.tar.zst`
  execFileSync('sh', ['-c', script, 'sh', place, String(mib)], { stdio: ['ignore', 'ignore', 2] })
  return place
}

interface Peak {
  readonly megabytes: number
  readonly seconds: number
}

/** The most that the program has had in memory, and how long it took; its host programs are apart. */
async function peakOf(args: readonly string[]): Promise<Peak> {
  const [program, ...rest] = tsnspawnBuild('--quiet', '--machines-dir', machines, ...args)
  const began = performance.now()
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
  let kilobytes = 0
  const look = () => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
      kilobytes = Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? kilobytes)
    } catch {
      // It has just ended.
    }
  }
  const timer = setInterval(look, 10)
  const [status] = (await once(child, 'exit')) as [number | null]
  clearInterval(timer)
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`)
  return { megabytes: kilobytes / 1000, seconds: (performance.now() - began) / 1000 }
}

function verbs(place: string): readonly (readonly [string, readonly string[]])[] {
  const out = (name: string) => join(directory, name)
  return [
    ['import-raw, plain', ['import-raw', '--force', join(place, 'disk.raw'), 'disk']],
    ['import-raw, xz', ['import-raw', '--force', join(place, 'disk.raw.xz'), 'disk']],
    ['import-raw, qcow2', ['import-raw', '--force', join(place, 'disk.qcow2'), 'disk']],
    ['import-tar, zstd', ['import-tar', '--force', join(place, 'tree.tar.zst'), 'tree']],
    ['import-fs', ['import-fs', '--force', join(place, 'tree'), 'tree']],
    ['export-raw, plain', ['export-raw', 'disk', out('disk.raw')]],
    ['export-raw, zstd', ['export-raw', 'disk', out('disk.raw.zst')]],
    ['export-tar, plain', ['export-tar', 'tree', out('tree.tar')]],
    ['export-tar, gzip', ['export-tar', 'tree', out('tree.tar.gz')]],
  ]
}

async function measure(mib: number): Promise<ReadonlyMap<string, Peak>> {
  const peaks = new Map<string, Peak>()
  for (const [name, args] of verbs(makeInputs(mib))) peaks.set(name, await peakOf(args))
  return peaks
}

rmSync(directory, { recursive: true, force: true })
mkdirSync(machines, { recursive: true })
try {
  const small = await measure(SMALL_MIB)
  const large = await measure(largeMib)
  const lines = [...large].map(([name, peak]) => {
    const before = small.get(name)?.megabytes ?? Number.NaN
    return row(
      name,
      before.toFixed(0),
      peak.megabytes.toFixed(0),
      `≤ ${BUDGET_MB}`,
      peak.seconds.toFixed(1),
    )
  })
  const head = `| verb | ${SMALL_MIB} MiB: MB | ${largeMib} MiB: MB | budget | s |`
  const table = [head, '| --- | ---: | ---: | --- | ---: |', ...lines].join('\n')
  console.log(table)
  keepTable(
    'transfers',
    'Peaks of resident memory of the program for images of two sizes, and the time for the large one',
    table,
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
