/** The program `tsnspawn-build`: global options, verbs loaded when called for, one way to end. */
import { resolve } from 'node:path'
import { Command, CommanderError } from 'commander'
import { NspawnError, usageError } from '../errors.ts'
import { machinesDirectory, refuseKernelDirectory, stateDirectory } from '../paths.ts'
import type { CliContext, RunVerb, VerbHandler, VerbOptions } from './context.ts'
import { exitClass, exitCodes } from './exit-codes.ts'
import { createReporter, type Reporter, type ReporterOptions } from './reporter.ts'
import { catchInterruption, type Interruption } from './signals.ts'
import { verbs } from './verbs.ts'
import { ownVersion } from '../version.ts'

const programName = 'tsnspawn-build'

interface GlobalOptions {
  readonly machinesDir?: string
  readonly stateDir?: string
  readonly json?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
}

/**
 * Runs one command line to its end; prints what there is to print.
 *
 * @param argv the arguments behind the program's name
 * @returns the exit status: the payload's own for `run`, else one of `exitCodes`, or 128 + signal
 */
export async function main(argv: readonly string[]): Promise<number> {
  const interruption = catchInterruption()
  let status: number = exitCodes.success
  const run =
    (program: Command): RunVerb =>
    async (handler, options) => {
      status = await runVerb(program.opts<GlobalOptions>(), interruption, handler, options ?? {})
    }
  try {
    await buildProgram(run).parseAsync(commandApart(helpAsOption(argv)), { from: 'user' })
  } catch (error) {
    status = await usageStatus(error, argv)
  } finally {
    interruption.stop()
  }
  return status
}

function buildProgram(run: (program: Command) => RunVerb): Command {
  const program = new Command(programName)
    .description('Makes OS trees, and builds and tests packages in throw-away containers.')
    .version(ownVersion(), '--version', 'show the version')
    .option('--machines-dir <dir>', 'where images live (TSNSPAWN_MACHINES_DIR, /var/lib/machines)')
    .option(
      '--state-dir <dir>',
      'where caches, layers and logs live (TSNSPAWN_STATE_DIR, /var/lib/tsnspawn)',
    )
    .option('--json', 'one event a line on stdout, as JSON')
    .option('-q, --quiet', 'only warnings, results and failures')
    .option('-v, --verbose', 'show the output of wrapped programs too')
    .helpCommand('help [verb]', 'show help for a verb')
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    // Said once, in `usageStatus`, in the style that was asked for.
    .configureOutput({ outputError: () => {} })
  const loaders = new Map(verbs.map((verb) => [verb.name, verb.load]))
  for (const verb of verbs)
    program.command(verb.name).summary(verb.summary).description(sentence(verb.summary))
  program.hook('preSubcommand', async (_program, verb) => {
    const module = await loaders.get(verb.name())?.()
    module?.define(verb, run(program))
  })
  return program
}

async function runVerb(
  globals: GlobalOptions,
  interruption: Interruption,
  handler: VerbHandler,
  options: VerbOptions,
): Promise<number> {
  const style = outputStyle(globals.json === true)
  const reporter = await createReporter({
    style,
    detail: detail(globals, options),
    program: programName,
  })
  const machinesOverride =
    globals.machinesDir === undefined ? undefined : resolve(globals.machinesDir)
  const context: CliContext = {
    machinesDirectory: resolve(machinesDirectory(machinesOverride)),
    machinesOverride,
    stateDirectory: resolve(stateDirectory(globals.stateDir)),
    style,
    log: reporter.log,
    signal: interruption.signal,
    line: (text) => {
      if (style !== 'json') reporter.result(undefined, text)
    },
    result: (value, text) => reporter.result(value, text),
  }
  try {
    refuseKernelDirectory(context.machinesDirectory, 'machines directory')
    refuseKernelDirectory(context.stateDirectory, 'state directory')
    return await handler(context)
  } catch (error) {
    return fail(reporter, error, interruption)
  } finally {
    reporter.close()
  }
}

function fail(reporter: Reporter, error: unknown, interruption: Interruption): number {
  const bySignal = interruption.status()
  const status = bySignal ?? exitCodes[exitClass(error)]
  const canceled = error instanceof NspawnError && error.code === 'CANCELED'
  reporter.failure(
    bySignal !== undefined && canceled
      ? new NspawnError('interrupted, nothing half-made is left', { code: 'CANCELED' })
      : error,
    status,
  )
  return status
}

async function usageStatus(error: unknown, argv: readonly string[]): Promise<number> {
  if (!(error instanceof CommanderError)) throw error
  // Help and version have been printed; commander leaves by an exception. Without a verb it shows help too.
  if (error.exitCode === 0) return exitCodes.success
  if (error.code === 'commander.help') return exitCodes.usage
  const json = argv
    .slice(0, argv.includes('--') ? argv.indexOf('--') : argv.length)
    .includes('--json')
  const reporter = await createReporter({
    style: outputStyle(json),
    detail: 'normal',
    program: programName,
  })
  const message = error.message.replace(/^error: /, '').replace(/\.$/, '')
  reporter.failure(usageError(message, `see ${programName} --help`), exitCodes.usage)
  reporter.close()
  return exitCodes.usage
}

function outputStyle(json: boolean): CliContext['style'] {
  if (json) return 'json'
  return process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? 'terminal' : 'plain'
}

function detail(globals: GlobalOptions, options: VerbOptions): ReporterOptions['detail'] {
  if (globals.quiet === true) return 'quiet'
  return globals.verbose === true || options.output === 'shown' ? 'verbose' : 'normal'
}

/** `help VERB` as `VERB --help`: a verb's options are known only once its file is loaded. */
function helpAsOption(argv: readonly string[]): string[] {
  const [first, verb, ...rest] = argv
  return first === 'help' && verb !== undefined ? [verb, '--help', ...rest] : [...argv]
}

/** Options whose value is a word of its own, among those that may stand before a command. */
const valued = ['--machines-dir', '--state-dir', '--uid', '--setenv', '-E']

/**
 * For `shell`: what stands behind the machine is the command with its own options, though nothing says so. A `--` in
 * front of it makes it plain.
 */
export function commandApart(argv: readonly string[]): string[] {
  const words: number[] = []
  for (let i = 0; i < argv.length && words.length < 3; i++) {
    const word = argv[i] as string
    if (word === '--') return [...argv]
    if (valued.includes(word)) i++
    else if (!word.startsWith('-')) words.push(i)
    if (words.length === 1 && argv[words[0] as number] !== 'shell') return [...argv]
  }
  const [, , command] = words
  return command === undefined ? [...argv] : argv.toSpliced(command, 0, '--')
}

function sentence(summary: string): string {
  return summary.charAt(0).toUpperCase() + summary.slice(1) + '.'
}
