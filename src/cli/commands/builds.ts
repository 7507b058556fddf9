/** `builds [NAME...]`: the builds that run, and those that have ended, the latest first. */
import { listBuilds, type KnownBuild } from '../../build/history.ts'
import type { VerbModule } from '../context.ts'
import {
  addListOptions,
  checkListOutput,
  legendTable,
  listText,
  type ListOutput,
} from '../list-output.ts'
import { wholeNumber } from '../option-values.ts'
import { seconds } from '../reporters/plain.ts'
import { requireRoot } from '../root.ts'
import { formatTime } from '../time.ts'

interface BuildsOptions extends ListOutput {
  readonly running?: boolean
  readonly failed?: boolean
  readonly limit?: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'what was built; default all')
    .option('--running', 'only those that run')
    .option('--failed', 'only those that ended without results')
    .option('-n, --limit <n>', 'only so many, the latest')
  addListOptions(command)
  command.action((names: string[], options: BuildsOptions) =>
    run(async (context) => {
      checkListOutput(options)
      const limit = wholeNumber(options.limit, '--limit') ?? Infinity
      requireRoot('listing builds')
      const builds = (await listBuilds(context.stateDirectory)).toReversed()
      const rows = builds.filter((build) => isWanted(build, names, options)).slice(0, limit)
      const values = rows.map((build) => describe(build))
      context.result(
        values,
        listText(values, options, () => table(values, options.legend)),
      )
      return 0
    }),
  )
}

function isWanted({ name, state }: KnownBuild, names: string[], options: BuildsOptions): boolean {
  if (names.length > 0 && (name === undefined || !names.includes(name))) return false
  if (options.running !== true && options.failed !== true) return true
  if (state === 'running') return options.running === true
  return options.failed === true && state !== 'succeeded'
}

export interface BuildRow {
  readonly id: string
  readonly name: string | null
  readonly version: string | null
  readonly driver: string
  readonly state: string
  /** Microseconds since 1970. */
  readonly started: number
  readonly seconds: number
  readonly step: string | null
  readonly output: string
  readonly directory: string
}

/** @param nowMs for those that run */
export function describe(build: KnownBuild, nowMs = Date.now()): BuildRow {
  const started = Date.parse(build.started)
  const running = build.state === 'running' ? (nowMs - started) / 1000 : 0
  return {
    id: build.id,
    name: build.name ?? null,
    version: build.version ?? null,
    driver: build.driver,
    state: build.state,
    started: started * 1000,
    seconds: build.seconds ?? running,
    step: build.failure?.step ?? null,
    output: build.outputDirectory,
    directory: build.directory,
  }
}

export function table(rows: readonly BuildRow[], legend: boolean): string {
  const columns = [
    { title: 'BUILD' },
    { title: 'NAME' },
    { title: 'VERSION' },
    { title: 'DRIVER' },
    { title: 'RESULT' },
    { title: 'STARTED' },
    { title: 'TIME', align: 'right' },
  ] as const
  const cells = rows.map((row) => [
    row.id,
    row.name ?? '-',
    row.version ?? '-',
    row.driver,
    row.step === null ? row.state : `${row.state} (${row.step})`,
    formatTime(row.started),
    row.state === 'killed' ? '-' : seconds(row.seconds * 1000),
  ])
  return legendTable('builds', rows.length, legend, columns, cells)
}
