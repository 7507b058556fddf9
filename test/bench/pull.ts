/**
 * How long it takes until a tree has come in from a server, beside systemd-pull and a pipe of curl, xz and tar, in one
 * run and interleaved, and how much memory the pulls take: `node scripts/run.mjs test/bench/pull.ts` (as root, after
 * `npm run build`). Prints a table and keeps it in docs/performance.md. `--rounds=N`: default 7, or as many as begin
 * within 100 seconds.
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync, renameSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { delimiter, dirname, join } from 'node:path'
import { execa } from 'execa'
import { debianTree, testDirectory } from '../fixtures/debian-tree.ts'
import { startRegistry } from '../fixtures/docker-registry.ts'
import { layerOf, pushImage } from '../fixtures/oci-image.ts'
import { tsnspawnBuild } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { keepTable, median, node24, nodeVersion } from './bench.ts'
import { EmptyDisk } from './empty-disk.ts'
import { measured, type Measured } from './measured.ts'

interface Contestant {
  readonly name: string
  argv(target: string): readonly string[]
  /** The directory of the node that it runs on: it is ours. */
  readonly node?: string
  /** It hangs now and then, whatever the server does; then it gets another try. */
  readonly hangs?: true
}

/** As durable as the others: they wait for the disk. */
const pipe = 'curl | xz -T2 | tar, sync -f'
const pull = 'systemd-pull tar'
const budgets = { [pull]: 0.5, [pipe]: 1.05 }
const memoryBudgetMb = 120
const beginWithinMs = 100_000
const runLimitMs = 15_000
const tries = 3

const nodes = [dirname(process.execPath), await node24()]

/** The tree packed as archives are packed for downloads, and as a disk image; made once. */
async function input(name: string, script: string): Promise<string> {
  const path = join(testDirectory, name)
  if (existsSync(path)) return path
  const draft = `${path}.draft`
  await execa('sh', ['-euc', script, await debianTree(), draft])
  renameSync(draft, path)
  return path
}

const archive = await input(
  'bench-pull.tar.xz',
  'tar -C "$0" --xattrs --numeric-owner -c . | xz -T2 > "$1"',
)
const image = await input(
  'bench-pull.raw.xz',
  'mkfs.ext4 -q -d "$0" "$1.ext4" 600M; xz -T2 -1 < "$1.ext4" > "$1"; rm "$1.ext4"',
)
const files = new Map([
  ['/tree.tar.xz', archive],
  ['/disk.raw.xz', image],
])

/** Serves the files with their checksums. */
async function serve(): Promise<{ readonly origin: string } & AsyncDisposable> {
  const sums = [...files].map(([name, path]) => {
    const digest = createHash('sha256').update(readFileSync(path)).digest('hex')
    return `${digest}  ${name.slice(1)}\n`
  })
  const server = createServer((request, response) => {
    if (request.url === '/SHA256SUMS') return void response.end(sums.join(''))
    const path = files.get(request.url ?? '')
    if (path === undefined) return void response.writeHead(404).end()
    const { size } = statSync(path)
    response.writeHead(200, { 'content-length': size, etag: `"${size}"` })
    createReadStream(path, { highWaterMark: 1 << 20 }).pipe(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

function rivals(url: string): Contestant[] {
  const options = ['--verify=checksum', '--settings=no']
  const script =
    'mkdir "$1" && curl -sf "$0" | xz -d -T2 | tar -xp --numeric-owner --xattrs --xattrs-include=* -C "$1" && sync -f "$1"'
  return [
    {
      name: pull,
      hangs: true,
      argv: (target) => [
        '/lib/systemd/systemd-pull',
        'tar',
        ...options,
        `--image-root=${target}`,
        url,
        'tree',
      ],
    },
    { name: pipe, argv: (target) => ['sh', '-c', script, url, join(target, 'tree')] },
  ]
}

/** Each of our verbs on each node. */
function ours(verb: string, args: readonly string[]): Contestant[] {
  return nodes.map((node) => ({
    name: `tsnspawn-build ${verb}, Node ${nodeVersion(node)}`,
    node,
    argv: (target) => tsnspawnBuild('--machines-dir', target, verb, ...args),
  }))
}

/** @returns undefined when it did not end, however often it was tried */
async function run(
  { argv, node, hangs }: Contestant,
  disk: EmptyDisk,
): Promise<Measured | undefined> {
  const path = process.env['PATH'] ?? ''
  // Nobody needs certificates here, and Node reads all that it is given.
  const { NODE_EXTRA_CA_CERTS: _, ...inherited } = process.env
  const env = { ...inherited, PATH: node === undefined ? path : `${node}${delimiter}${path}` }
  for (let left = hangs === true ? tries : 1; left > 0; left--) {
    disk.empty()
    const result = await measured(argv(disk.path), env, runLimitMs * (hangs === true ? 1 : 10))
    if (result !== undefined) return result
  }
  return undefined
}

const rounds = Number(/--rounds=(\d+)/.exec(process.argv.join(' '))?.[1] ?? 7)
const results = new Map<string, Measured[]>()

/** @returns the contestants, those whose memory alone is of interest, and how many rounds were counted */
async function measureAll(): Promise<readonly [Contestant[], Contestant[], number]> {
  using disk = new EmptyDisk(join(testDirectory, 'bench-pull'))
  await using registry = await startRegistry()
  await using server = await serve()
  const plain = await execa('xz', ['-dc', archive], { encoding: 'buffer', maxBuffer: 1 << 30 })
  const layer = layerOf(Buffer.from(plain.stdout))
  await pushImage(registry.origin, 'tree', 'latest', { layers: [layer] })
  const tree = `${server.origin}/tree.tar.xz`
  const all = [
    ...rivals(tree),
    ...ours('pull-tar', ['--verify=checksum', '--settings=no', tree, 'tree']),
  ]
  const others = [
    ...ours('pull-raw', ['--verify=checksum', `${server.origin}/disk.raw.xz`, 'disk']),
    ...ours('pull-oci', ['--keep-download=no', '--insecure', `${registry.address}/tree`]),
  ]
  for (const { name } of [...all, ...others]) results.set(name, [])
  const began = performance.now()
  let round = 0
  for (; round <= rounds && performance.now() - began < beginWithinMs; round++) {
    for (const contestant of all) {
      const result = await run(contestant, disk)
      // The first round warms the caches.
      if (round > 0 && result !== undefined) results.get(contestant.name)?.push(result)
    }
  }
  for (const contestant of others) {
    const result = await run(contestant, disk)
    if (result !== undefined) results.get(contestant.name)?.push(result)
  }
  return [all, others, round - 1]
}

const [all, others, counted] = await measureAll()
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
  ...[...all, ...others].map((contestant) => {
    const { name, node } = contestant
    const ms = middle(name, (one) => one.ms)
    const ratios = Object.entries(budgets).map(([beside, budget]) => {
      if (beside === name || others.includes(contestant)) return ''
      const ratio = `${(ms / middle(beside, (one) => one.ms)).toFixed(2)}×`
      return node === undefined ? ratio : `${ratio} (≤ ${budget}×)`
    })
    const self = middle(name, (one) => one.selfMb).toFixed(0)
    return row(
      name,
      ms.toFixed(0),
      ...ratios,
      node === undefined ? self : `${self} (≤ ${memoryBudgetMb})`,
      middle(name, (one) => one.othersMb).toFixed(0),
    )
  }),
]
const table = lines.join('\n')
process.stdout.write(`${table}\n`)
const megabytes = (path: string) => (statSync(path).size / 1e6).toFixed(0)
keepTable(
  'pull',
  `Medians of ${counted} pulls of a Debian minbase tree, ${megabytes(archive)} MB as .tar.xz, from a loopback server, interleaved (pull-raw: the same on ext4, ${megabytes(image)} MB as .raw.xz; pull-oci: the same as one layer; both once)`,
  table,
)
