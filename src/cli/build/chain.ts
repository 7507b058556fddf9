/** `build` with several sources: what it can be told, and how it shows what came of it. */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import {
  buildChain,
  planChain,
  type ChainPlan,
  type ChainRequest,
  type ChainResult,
  type ChainSource,
} from '../../build/chain/build-chain.ts'
import type { ChainBuild } from '../../build/chain/record.ts'
import type { TwiceWishes } from '../../build/reproducible/build-twice.ts'
import { NspawnError, usageError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { exitClass, exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../option-values.ts'
import { seconds } from '../reporters/plain.ts'
import { formatTable } from '../table.ts'

export interface ChainVerbOptions {
  readonly output: string
  readonly jobs?: string
  readonly atOnce?: string
  readonly continue?: boolean
  readonly shellBefore?: boolean
  readonly shellOnFailure?: boolean
  readonly reproducible?: boolean
  readonly dryRun?: boolean
}

/** Options that mean nothing for one source. */
export function refuseChainOptions(options: ChainVerbOptions): void {
  if (options.atOnce !== undefined) throw usageError('--at-once is for several sources')
  if (options.continue === true) throw usageError('--continue is for several sources')
}

/**
 * Builds the sources and shows a table of them, or of what would be done.
 *
 * @returns 0
 * @throws NspawnError with the code of the worst failure, as `buildChain()`
 */
export async function buildSeveral(
  sources: readonly ChainSource[],
  options: ChainVerbOptions,
  twice: TwiceWishes | undefined,
  context: CliContext,
): Promise<number> {
  const [first] = sources
  if (first === undefined) throw new Error('no sources were given')
  const stranger = sources.find(({ buildable }) => buildable.driver !== first.buildable.driver)
  if (stranger !== undefined) {
    throw usageError(
      `${first.source} and ${stranger.source} are of different families`,
      'build the sources of each family above a tree of its own',
    )
  }
  if (first.buildable.request.lock !== undefined)
    throw usageError('--lock and --from-lock are for one source', 'lock each one by itself')
  const shell = options.shellOnFailure === true || options.shellBefore === true
  const jobs = wholeNumber(options.jobs, '--jobs') ?? availableParallelism()
  const { request } = first.buildable
  const chain: ChainRequest = {
    sources,
    outputDirectory: resolve(options.output),
    jobs,
    // A shell has the terminal for itself.
    atOnce: shell ? 1 : (wholeNumber(options.atOnce, '--at-once') ?? jobs),
    twice,
    continues: options.continue === true,
    owner: request.owner,
    signal: context.signal,
    log: context.log,
  }
  if (options.dryRun === true) {
    const plan = await planChain(chain)
    context.result(plan, describePlan(plan))
    return exitCodes.success
  }
  const result = await buildChain(chain)
  context.result({ ...result.record, recordPath: result.recordPath }, describeChain(result))
  if (result.failures.length > 0) throw worstOf(result)
  if (result.different.length > 0) throw notReproducible(result)
  return exitCodes.success
}

function notReproducible({ different, recordPath }: ChainResult): NspawnError {
  return new NspawnError(`not reproducible: ${different.join(', ')}`, {
    code: 'TEST_NOT_REPRODUCIBLE',
    operation: 'compare builds',
    subject: different[0],
    log: recordPath,
    hint: 'build.differences.txt in the directory of each tells what came out otherwise',
  })
}

/** The higher the exit status, the less the package itself is to blame. */
function worstOf({ failures, record: { builds } }: ChainResult): NspawnError {
  const worst = failures.reduce((one, other) =>
    exitCodes[exitClass(other.error)] > exitCodes[exitClass(one.error)] ? other : one,
  )
  const names = failures.map(({ name }) => name).join(', ')
  const leftOut = builds.filter(({ result }) => result === 'left-out').length
  const rest = leftOut === 0 ? '' : `, and ${leftOut} were not tried`
  return new NspawnError(`${failures.length} of ${builds.length} builds failed${rest}`, {
    code: 'CHAIN_FAILED',
    operation: 'build',
    subject: names,
    // Its class is that of the worst of them, which has been told in full.
    cause: withoutCause(worst.error),
  })
}

function withoutCause(error: unknown): unknown {
  if (!(error instanceof NspawnError)) return error
  const { message, code, operation, status, log } = error
  return new NspawnError(message, { code: codeOf(error, code), operation, status, log })
}

/** That which decides its class may be one of its causes. */
function codeOf(error: NspawnError, code: string): string {
  const wanted = exitClass(error)
  for (let e: unknown = error; e instanceof NspawnError; e = e.cause)
    if (exitClass(new NspawnError(e.message, { code: e.code })) === wanted) return e.code
  return code
}

function describeChain({ record, recordPath }: ChainResult): string {
  const rows = record.builds.map((build) => [
    build.name,
    build.version ?? '',
    resultWord(build),
    build.seconds === undefined ? '' : seconds(build.seconds * 1000),
    why(build),
  ])
  const columns = [
    { title: 'NAME' },
    { title: 'VERSION' },
    { title: 'RESULT' },
    { title: 'TIME', align: 'right' },
    { title: 'NEEDS' },
  ] as const
  const unchanged = record.builds.filter((build) => build.unchanged === true).length
  const succeeded = record.builds.filter(({ result }) => result === 'succeeded').length
  const built = succeeded - unchanged
  const rest = unchanged === 0 ? '' : `, ${unchanged} unchanged`
  return [
    formatTable(columns, rows),
    `built ${built} of ${rows.length}${rest} in ${seconds(record.seconds * 1000)}`,
    `  ${recordPath}`,
  ].join('\n')
}

function describePlan({ levels, builds }: ChainPlan): string {
  const columns = [
    { title: 'TURN', align: 'right' },
    { title: 'NAME' },
    { title: 'VERSION' },
    { title: 'JOBS', align: 'right' },
    { title: 'NEEDS' },
  ] as const
  const rows = levels.flatMap((level, turn) =>
    builds
      .filter(({ name }) => level.includes(name))
      .map(({ name, version = '', jobs, needs }) => {
        const reasons = needs.map((one) => `${one.packages.join(', ')} of ${one.name}`)
        return [String(turn + 1), name, version, String(jobs), reasons.join('; ')]
      }),
  )
  return formatTable(columns, rows)
}

const words: Readonly<Record<ChainBuild['result'], string>> = {
  succeeded: 'built',
  failed: 'failed',
  'left-out': 'not tried',
}

function resultWord({ result, unchanged, reproducible }: ChainBuild): string {
  if (reproducible !== undefined) return reproducible ? 'reproducible' : 'different'
  return unchanged === true ? 'unchanged' : words[result]
}

function why({ needs, because = [] }: ChainBuild): string {
  const names = needs.map(({ name }) => name).join(', ')
  return because.length === 0 ? names : `${names} (${because.join(', ')} failed)`
}
