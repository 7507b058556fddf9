/**
 * Runs the tests: first those that need no root beside those in a virtual machine, which takes all processors that are
 * left, then the others in lanes beside each other, one file at a time in each. A lane is a mount namespace with a /tmp
 * and runtime files of its own, so that no test sees what one of another lane leaves there for a moment.
 * Arguments go to vitest, in one lane; after `vm` they are names of groups of cases for the machine.
 *
 * Out: what vitest says, each line with its lane; last what was skipped, and one line that counts.
 */
import { execa } from 'execa'
import { realpathSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { testDirectory } from '../test/fixtures/debian-tree.ts'

interface Lane {
  readonly name: string
  readonly words: readonly string[]
}

const unit: Lane = { name: 'unit', words: ['--project', 'unit'] }

const bootstrap = 'test/integration/bootstrap'
const inBootstrap = (name: string) => `${bootstrap}/${name}.test.ts`

/** Of the tests that make trees the longer ones of families other than Debian's, and those that boot what they have made. */
const families = ['arch', 'boot-families', 'customize', 'dnf'].map(inBootstrap)
const zypper = inBootstrap('zypper')

const images = ['images', 'machines', 'transfer'].map((room) => `test/integration/${room}/`)
const builds = ['build', 'suites'].map((room) => `test/integration/${room}/`)

/** Four keep two processors busy, for many tests wait; the last has whatever the others have not. */
const lanes: readonly Lane[] = [
  { name: 'trees', words: [bootstrap, ...without([...families, zypper])] },
  { name: 'images', words: [...families, ...images] },
  { name: 'builds', words: [...builds, zypper] },
  {
    name: 'rest',
    words: [
      ...['integration', 'parity', 'e2e'].map((project) => `--project=${project}`),
      ...without([`${bootstrap}/`, ...images, ...builds].map((directory) => `${directory}**`)),
    ],
  },
]

const machine: Lane = { name: 'vm', words: ['--project', 'vm'] }

function without(paths: readonly string[]): readonly string[] {
  return paths.map((path) => `--exclude=${path}`)
}

/** Arguments: the lane's directory, how many paths to keep in sight, these paths, the command. */
const ownPlaces = `
set -e
lane=$1 kept=$2
shift 2
mkdir -p /run/tsnspawn "$lane/run" "$lane/tmp"
chmod 1777 "$lane/tmp"
while [ "$kept" -gt 0 ]; do
  case $1 in
    /tmp/*)
      mkdir -p "$lane$1"
      mount --rbind "$1" "$lane$1"
      ;;
  esac
  shift
  kept=$((kept - 1))
done
mount --bind "$lane/run" /run/tsnspawn
mount --rbind "$lane/tmp" /tmp
exec "$@"
`

/** What a lane needs even if it lies in a directory of which it has its own: tests' trees, this repository, Node. */
const keptPaths = [
  testDirectory,
  process.cwd(),
  realpathSync('node_modules'),
  dirname(dirname(process.execPath)),
]

interface Report {
  readonly numTotalTests: number
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

const vitest = ['npx', 'vitest', 'run', '--config', 'test/vitest.config.ts']

/** Runs one lane to its end; undefined when vitest did not come to a report. */
async function runLane(lane: Lane, place: string, isolated: boolean): Promise<Report | undefined> {
  const path = join(place, `${lane.name}.json`)
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`]
  const command = [...vitest, ...reporters, ...lane.words]
  const wrapped = isolated
    ? [
        ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c', ownPlaces, 'lane'],
        ...[join(place, lane.name), String(keptPaths.length), ...keptPaths, ...command],
      ]
    : command
  const [program = 'npx', ...args] = wrapped
  const run = execa(program, args, { reject: false, stdin: 'ignore', all: true, buffer: false })
  for await (const line of createInterface({ input: run.all })) console.log(`${lane.name}: ${line}`)
  const { exitCode } = await run
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const report = JSON.parse(text) as Report
  const tellsWhy = report.testResults.some(({ status }) => status === 'failed')
  // Such as when the process with the tests has died.
  return exitCode === 0 || tellsWhy ? report : undefined
}

/** Says how the run ended. Files that could not be loaded count as failures; a lane without tests is one too. */
function count(reports: readonly (Report | undefined)[]): number {
  const whole = reports.filter((report) => report !== undefined)
  const unloadable = whole.flatMap(({ testResults }) =>
    testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    ),
  )
  for (const { name } of unloadable) console.log(`failed as a whole: ${name}`)
  const sum = (of: (report: Report) => number) => whole.reduce((all, one) => all + of(one), 0)
  const skipped = sum((report) => report.numPendingTests + report.numTodoTests)
  if (skipped > 0) console.log(`${skipped} skipped`)
  const lost = reports.filter((report) => report === undefined || report.numTotalTests === 0).length
  if (lost > 0) console.log(`${lost} lanes ended without a result`)
  const failed = sum((report) => report.numFailedTests) + unloadable.length + lost
  console.log(`${sum((report) => report.numPassedTests)} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

// A terminal's Ctrl-C reaches the lanes too; they end, and then so do we.
process.on('SIGINT', () => {})

/** Runs lanes, some beside each other, and says how that ended. */
async function runLanes(...turns: readonly (readonly Lane[])[]): Promise<number> {
  await mkdir(testDirectory, { recursive: true })
  const place = await mkdtemp(join(testDirectory, 'lanes-'))
  try {
    const reports: (Report | undefined)[] = []
    for (const turn of turns) {
      const isolated = turn.length > 1 && process.getuid?.() === 0
      reports.push(...(await Promise.all(turn.map((lane) => runLane(lane, place, isolated)))))
    }
    return count(reports)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

const words = process.argv.slice(2)
if (words[0] === 'vm') {
  process.env['TSNSPAWN_VM_CASES'] = words.slice(1).join(' ')
  process.exitCode = await runLanes([machine])
} else if (words.length > 0) {
  const [program = 'npx', ...args] = [...vitest, ...words]
  const { exitCode } = await execa(program, args, { reject: false, stdio: 'inherit' })
  process.exitCode = exitCode ?? 1
} else process.exitCode = await runLanes([unit, machine], lanes)
