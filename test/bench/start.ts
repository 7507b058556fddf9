/**
 * How long a container takes from the command to its end, beside the peers, in one run and interleaved:
 * `npm run bench` (as root). Prints a table of medians and ratios and keeps it in docs/performance.md.
 *
 * `--rounds=N` sets how often each is started (default 20; copies of a whole tree a fifth of that).
 */
import { spawnSync } from 'node:child_process'
import { delimiter, dirname } from 'node:path'
import { debianTree } from '../fixtures/debian-tree.ts'
import { systemdNspawn, tsnspawn } from '../fixtures/programs.ts'
import { row } from '../fixtures/table.ts'
import { enterOwnRun, keepTable, median, node24, nodeVersion, ociBundle } from './bench.ts'

interface Contestant {
  readonly name: string
  readonly argv: readonly string[]
  /** Directory whose `node` is used. */
  readonly node?: string
  /** Of how many rounds it takes part in one. */
  readonly everyNth: number
  /** The name of what its time is divided by. */
  readonly beside?: string
  readonly budget?: number
}

async function contestants(): Promise<Contestant[]> {
  const tree = await debianTree()
  const bundle = await ociBundle(tree)
  const machine = dirname(process.execPath)
  const lts = await node24()
  const nspawn = ['--register=no', '--keep-unit', '--quiet', `--directory=${tree}`]
  const bwrap = ['--bind', tree, '/', '--dev', '/dev', '--proc', '/proc', '--unshare-all']
  const plain = 'systemd-nspawn'
  const copy = 'systemd-nspawn --ephemeral'
  const ours = (what: string, node: string, version: string) => ({
    name: `tsnspawn${what}, Node ${version}`,
    node,
    everyNth: 1,
  })
  const versions = [
    [machine, nodeVersion(machine)],
    [lts, nodeVersion(lts)],
  ] as const
  return [
    { name: plain, argv: systemdNspawn(...nspawn, '/bin/true'), everyNth: 1 },
    ...versions.map(([node, version]) => ({
      ...ours('', node, version),
      argv: tsnspawn(...nspawn, '/bin/true'),
      beside: plain,
      ...(node === lts ? { budget: 0.8 } : {}),
    })),
    { name: copy, argv: systemdNspawn(...nspawn, '--ephemeral', '/bin/true'), everyNth: 5 },
    ...versions.map(([node, version]) => ({
      ...ours(' --ephemeral', node, version),
      argv: tsnspawn(...nspawn, '--ephemeral', '/bin/true'),
      beside: copy,
      ...(node === lts ? { budget: 0.06 } : {}),
    })),
    ...['runc', 'crun'].map((name) => ({
      name: `${name} run`,
      argv: [name, 'run', '--bundle', bundle, 'tsnspawn-bench'],
      everyNth: 1,
      beside: plain,
    })),
    { name: 'bwrap', argv: ['bwrap', ...bwrap, '/bin/true'], everyNth: 1, beside: plain },
    ...versions.map(([node, version]) => ({
      name: `node -e 0, Node ${version}`,
      argv: ['node', '-e', '0'],
      node,
      everyNth: 1,
      beside: plain,
    })),
  ]
}

/** Milliseconds from start to end. A contestant that fails ends the bench: its time would say nothing. */
function time({ name, argv, node }: Contestant): number {
  const path = process.env['PATH'] ?? ''
  const env = { ...process.env, PATH: node === undefined ? path : `${node}${delimiter}${path}` }
  const [program = '', ...args] = argv
  const began = process.hrtime.bigint()
  const { status, stderr } = spawnSync(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const took = Number(process.hrtime.bigint() - began) / 1e6
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${String(stderr)}`)
  return took
}

async function measure(rounds: number): Promise<string> {
  const all = await contestants()
  const times = new Map<string, number[]>(all.map(({ name }) => [name, []]))
  for (const contestant of all) time(contestant)
  for (let round = 0; round < rounds; round++) {
    for (const contestant of all) {
      if (round % contestant.everyNth === 0) times.get(contestant.name)?.push(time(contestant))
    }
  }
  const medians = new Map([...times].map(([name, values]) => [name, median(values)]))
  const lines = all.map(({ name, beside, budget }) => {
    const own = medians.get(name) ?? Number.NaN
    const other = beside === undefined ? undefined : medians.get(beside)
    const ratio = other === undefined ? '' : `${(own / other).toFixed(2)}× ${beside ?? ''}`
    return row(name, own.toFixed(1), ratio, budget === undefined ? '' : `≤ ${budget}×`)
  })
  return [row('what', 'ms', 'ratio', 'budget'), row('---', '---:', '---', '---'), ...lines].join(
    '\n',
  )
}

const asked = process.argv.find((word) => word.startsWith('--rounds='))
const rounds = Number(asked?.slice('--rounds='.length) ?? 20)
enterOwnRun()
const table = await measure(rounds)
console.log(table)
keepTable(
  'start',
  `Medians of ${rounds} starts of \`/bin/true\` in a Debian minbase tree, interleaved`,
  table,
)
