/**
 * What a container costs that is one of many from one process, beside peers that start anew each time, interleaved:
 * `npm run bench` (as root). Runs itself under the current LTS of Node.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { runContainer } from '../../src/runtime/client.ts'
import { defaultSettings } from '../../src/settings/settings.ts'
import { debianTree } from '../fixtures/debian-tree.ts'
import { row } from '../fixtures/table.ts'
import { enterOwnRun, keepTable, median, node24, nodeVersion, ociBundle } from './bench.ts'

const rounds = 40
const warmUps = 3
const budget = 0.4

const lts = await node24()
if (dirname(process.execPath) !== lts) {
  const { status } = spawnSync(join(lts, 'node'), process.argv.slice(1), { stdio: 'inherit' })
  process.exit(status ?? 1)
}
enterOwnRun()

const tree = await debianTree()
const bundle = await ociBundle(tree)

async function ours(privateUsers: 'no' | 'identity'): Promise<void> {
  const { status } = await runContainer({
    settings: {
      ...defaultSettings(),
      root: { kind: 'directory', path: tree },
      access: 'read-only',
      privateUsers: { mode: privateUsers },
      register: 'no',
      keepUnit: true,
      quiet: true,
      command: ['true'],
    },
    stdio: 'capture',
  })
  if (status !== 0) throw new Error(`the container ended with ${status}`)
}

function peer(name: string): Promise<void> {
  const argv = ['run', '--bundle', bundle, 'tsnspawn-bench']
  const { status, stderr } = spawnSync(name, argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  return status === 0 ? Promise.resolve() : Promise.reject(new Error(`${name}: ${String(stderr)}`))
}

const contestants = [
  { name: 'runc run', start: () => peer('runc') },
  { name: 'crun run', start: () => peer('crun') },
  { name: 'runContainer()', start: () => ours('no'), budget },
  { name: 'runContainer(), users of its own', start: () => ours('identity') },
].map((contestant) => ({ ...contestant, times: [] as number[] }))

for (let round = 0; round < rounds + warmUps; round++) {
  for (const { start, times } of contestants) {
    const began = performance.now()
    await start()
    if (round >= warmUps) times.push(performance.now() - began)
  }
}

const runc = median(contestants[0]?.times ?? [])
const lines = contestants.map(({ name, times, budget: allowed }) => {
  const own = median(times)
  const ratio = name === 'runc run' ? '' : `${(own / runc).toFixed(2)}× runc run`
  return row(name, own.toFixed(1), ratio, allowed === undefined ? '' : `≤ ${allowed}×`)
})
const head = [row('what', 'ms', 'ratio', 'budget'), row('---', '---:', '---', '---')]
const table = [...head, ...lines].join('\n')
console.log(table)
keepTable(
  'many',
  `Medians of ${rounds} containers with \`true\` in a Debian minbase tree, interleaved, Node ${nodeVersion(lts)}`,
  table,
)
