/**
 * What it costs to unpack a Debian tree, beside the tools, interleaved: `npm run bench` (as root). Runs itself under
 * the current LTS of Node; ours is one process that unpacks many times, as is a server's or a test run's.
 */
import { execa } from 'execa'
import { spawnSync } from 'node:child_process'
import { createReadStream, existsSync, realpathSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { removeTree } from '../../src/images/remove-tree.ts'
import { openPlain } from '../../src/transfer/decompress.ts'
import { packTree } from '../../src/transfer/tar/pack.ts'
import { unpackTar } from '../../src/transfer/tar/unpack.ts'
import { debianTree, testDirectory } from '../fixtures/debian-tree.ts'
import { row } from '../fixtures/table.ts'
import { keepTable, median, node24, nodeVersion } from './bench.ts'

const rounds = 3

const lts = await node24()
if (dirname(process.execPath) !== realpathSync(lts)) {
  const { status } = spawnSync(join(lts, 'node'), process.argv.slice(1), { stdio: 'inherit' })
  process.exit(status ?? 1)
}

const tree = await debianTree()
const plain = join(testDirectory, 'bench-unpack.tar')
const packed = `${plain}.xz`
if (!existsSync(packed)) {
  await execa('tar', ['-c', '-f', plain, '--numeric-owner', '-C', tree, '.'])
  await execa('xz', ['-T0', '-k', '-f', plain])
}
const target = join(testDirectory, 'bench-unpacked')

const options = "--ignore-zeros --numeric-owner --xattrs --xattrs-include='*' -xpf -"

async function peer(command: string): Promise<void> {
  await execa('sh', ['-c', command, 'sh', target, plain, packed])
}

async function ours(path: string): Promise<void> {
  const { chunks } = await openPlain(createReadStream(path), { chunks: 'lent' })
  await unpackTar(chunks, target)
}

async function pack(): Promise<void> {
  for await (const _ of packTree(tree));
}

const unpackPacked = () => ours(packed)
let memoryMiB = 0

const contestants = [
  { name: 'tar x', beside: 0, run: () => peer(`tar -C "$1" ${options} <"$2"`) },
  { name: 'unpackTar()', beside: 0, run: () => ours(plain) },
  {
    name: 'xz -T2 -dc | tar x',
    beside: 2,
    run: () => peer(`xz -T2 -dc <"$3" | tar -C "$1" ${options}`),
  },
  { name: 'openPlain(), unpackTar()', beside: 2, run: unpackPacked, budget: 1.05 },
  {
    name: 'tar c',
    beside: 4,
    run: () => execa('sh', ['-c', 'tar -C "$1" --xattrs -c . | cat >/dev/null', 'sh', tree]),
  },
  { name: 'packTree()', beside: 4, run: pack },
].map((contestant) => ({ ...contestant, times: [] as number[] }))

for (let round = 0; round <= rounds; round++) {
  for (const { run, times } of contestants) {
    await mkdir(target)
    const began = performance.now()
    await run()
    // Of unpacking alone: nothing has been packed yet.
    if (round === 0 && run === unpackPacked) memoryMiB = process.resourceUsage().maxRSS / 1024
    if (round > 0) times.push(performance.now() - began)
    removeTree(target)
  }
}

const lines = contestants.map(({ name, times, beside, budget }) => {
  const peerOf = contestants[beside]
  const own = median(times)
  const ratio =
    peerOf === undefined || peerOf.name === name
      ? ''
      : `${(own / median(peerOf.times)).toFixed(2)}× ${peerOf.name}`
  return row(name, own.toFixed(0), ratio, budget === undefined ? '' : `≤ ${budget}×`)
})
const head = [row('what', 'ms', 'ratio', 'budget'), row('---', '---:', '---', '---')]
const table = [
  ...head,
  ...lines,
  row('peak memory of unpacking', `${memoryMiB.toFixed(0)} MiB`, '', '≤ 120 MB'),
]
console.log(table.join('\n'))
keepTable(
  'unpack',
  `Medians of ${rounds} runs with a Debian minbase tree, interleaved, Node ${nodeVersion(lts)}`,
  table.join('\n'),
)
