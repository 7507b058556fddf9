/**
 * How long it takes until a tree has come in from a server, beside systemd-pull and a pipe of curl, xz and tar, in one
 * run and interleaved, and how much memory it takes: `node scripts/run.mjs test/bench/pull.ts` (as root, after
 * `npm run build`). Prints a table and keeps it in docs/performance.md. `--rounds=N`: default 5.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { execa } from 'execa'
import { debianTree, testDirectory } from '../fixtures/debian-tree.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { keepTable, median, node24, nodeVersion } from './bench.ts'

interface Contestant {
  readonly name: string
  argv(url: string, target: string): readonly string[]
  readonly node?: string
  readonly ours?: true
}

interface Measured {
  readonly ms: number
  /** Peak resident set of the process itself, and of all that it started, each at its own peak. */
  readonly selfMb: number
  readonly othersMb: number
}

/** As durable as the others: they wait for the disk. */
const pipe = 'curl | xz -T2 | tar, sync -f'
const pull = 'systemd-pull tar'
const budgets = { [pull]: 0.5, [pipe]: 1.05 }
const memoryBudgetMb = 120

async function contestants(): Promise<Contestant[]> {
  const nodes = [dirname(process.execPath), await node24()]
  const script =
    'mkdir "$1" && curl -sf "$0" | xz -d -T2 | tar -xp --numeric-owner --xattrs --xattrs-include=* -C "$1" && sync -f "$1"'
  return [
    {
      name: pull,
      argv: (url, target) => [
        '/lib/systemd/systemd-pull',
        'tar',
        '--verify=checksum',
        '--settings=no',
        `--image-root=${dirname(target)}`,
        url,
        'bench-tree',
      ],
    },
    { name: pipe, argv: (url, target) => ['sh', '-c', script, url, target] },
    ...nodes.map((node) => ({
      name: `tsnspawn-build pull-tar, Node ${nodeVersion(node)}`,
      node,
      ours: true as const,
      argv: (url: string, target: string) =>
        tsnspawnBuild(
          'pull-tar',
          '--verify=checksum',
          '--settings=no',
          `--image-root=${dirname(target)}`,
          url,
          'bench-tree',
        ),
    })),
  ]
}

/** The tree packed as archives are packed for downloads; made once. */
async function archive(): Promise<string> {
  const path = join(testDirectory, 'bench-pull.tar.xz')
  if (existsSync(path)) return path
  const draft = `${path}.draft`
  const script = 'tar -C "$0" --xattrs --numeric-owner -c . | xz -T2 > "$1"'
  await execa('sh', ['-c', script, await debianTree(), draft])
  await rename(draft, path)
  return path
}

async function measure({ argv, node }: Contestant, url: string, target: string): Promise<Measured> {
  const path = process.env['PATH'] ?? ''
  const env = { ...process.env, PATH: node === undefined ? path : `${node}${delimiter}${path}` }
  const [program = '', ...args] = argv(url, target)
  const peaks = new Map<number, number>()
  const began = performance.now()
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (text) => (said += String(text)))
  const ended = new Promise<{ status: number | null; ms: number }>((resolve) => {
    child.on('exit', (status) => resolve({ status, ms: performance.now() - began }))
  })
  const watch = setInterval(() => notePeaks(child.pid as number, peaks), 20)
  const { status, ms } = await ended
  clearInterval(watch)
  if (status !== 0) throw new Error(`${program} failed: ${said}`)
  const self = peaks.get(child.pid as number) ?? 0
  const all = [...peaks.values()].reduce((sum, peak) => sum + peak, 0)
  return { ms, selfMb: self / 1e6, othersMb: (all - self) / 1e6 }
}

function notePeaks(pid: number, peaks: Map<number, number>): void {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const peak = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024
    peaks.set(pid, Math.max(peak, peaks.get(pid) ?? 0))
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8')
      for (const child of children.split(' ').filter(Boolean)) notePeaks(Number(child), peaks)
    }
  } catch {
    // It has ended meanwhile.
  }
}

const rounds = Number(/--rounds=(\d+)/.exec(process.argv.join(' '))?.[1] ?? 5)
const file = await archive()
const sums = `${createHash('sha256').update(readFileSync(file)).digest('hex')}  tree.tar.xz\n`
const sizeBytes = statSync(file).size
const server = createServer((request, response) => {
  if (request.url === '/SHA256SUMS') return void response.end(sums)
  if (request.url !== '/tree.tar.xz') return void response.writeHead(404).end()
  response.writeHead(200, { 'content-length': sizeBytes, etag: `"${sizeBytes}"` })
  createReadStream(file, { highWaterMark: 1 << 20 }).pipe(response)
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/tree.tar.xz`
const root = join(testDirectory, 'bench-pull')
const all = await contestants()
const results = new Map<string, Measured[]>(all.map(({ name }) => [name, []]))
for (let round = 0; round <= rounds; round++) {
  for (const contestant of all) {
    await execa('chattr', ['-R', '-i', root], { reject: false })
    rmSync(root, { recursive: true, force: true })
    await mkdir(root, { recursive: true })
    await execa('sync')
    const measured = await measure(contestant, url, join(root, 'bench-tree'))
    // The first round warms the caches.
    if (round > 0) results.get(contestant.name)?.push(measured)
  }
}
await execa('chattr', ['-R', '-i', root], { reject: false })
rmSync(root, { recursive: true, force: true })
server.closeAllConnections()
server.close()

const middle = (name: string, of: (one: Measured) => number) =>
  median((results.get(name) ?? []).map(of))
const lines = [
  row(
    'what',
    'ms',
    ...Object.keys(budgets).map((name) => `beside ${name}`),
    'MB, itself',
    'MB, its programs',
  ),
  row('---', '---:', '---:', '---:', '---:', '---:'),
  ...all.map(({ name, ours }) => {
    const ms = middle(name, (one) => one.ms)
    const ratios = Object.entries(budgets).map(([beside, budget]) => {
      if (beside === name) return ''
      const ratio = `${(ms / middle(beside, (one) => one.ms)).toFixed(2)}×`
      return ours === true ? `${ratio} (≤ ${budget}×)` : ratio
    })
    const self = middle(name, (one) => one.selfMb).toFixed(0)
    return row(
      name,
      ms.toFixed(0),
      ...ratios,
      ours === true ? `${self} (≤ ${memoryBudgetMb})` : self,
      middle(name, (one) => one.othersMb).toFixed(0),
    )
  }),
]
const table = lines.join('\n')
process.stdout.write(`${table}\n`)
keepTable(
  'pull',
  `Medians of ${rounds} pulls of a Debian minbase tree, ${(sizeBytes / 1e6).toFixed(0)} MB as .tar.xz, from a loopback server, interleaved`,
  table,
)
