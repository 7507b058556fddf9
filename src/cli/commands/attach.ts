/** `attach [BUILD]`: what a running build says, as it says it; or a shell beside what it runs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { followBuild } from '../../build/follow-build.ts'
import { buildNow, findBuild, listBuilds, type KnownBuild } from '../../build/history.ts'
import { NspawnError, usageError } from '../../errors.ts'
import { ensureForkSafe } from '../../runtime/fork-safety.ts'
import { findMachine, type RunningMachine } from '../../runtime/registry.ts'
import type { CliContext, VerbModule } from '../context.ts'
import { exitClass, exitCodes } from '../exit-codes.ts'
import { wholeNumber } from '../option-values.ts'
import { requireRoot } from '../root.ts'
import { attach } from '../session.ts'

interface AttachOptions {
  readonly shell?: boolean
  readonly uid?: string
  readonly lines?: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .usage('[options] [BUILD] [COMMAND...]')
    .argument('[build]', 'its id, a beginning or end of it, or what is built; default the latest')
    .argument('[command...]', 'with --shell: program and arguments in place of a shell')
    .option('--shell', 'open a shell in the container of the step that runs')
    .option('--uid <user>', 'the user of the shell; default root of the container')
    .option('-n, --lines <n>', 'of what was said before, only the last lines')
    .addHelpText(
      'after',
      "\nThe exit status is that of the build, or the shell's. Ctrl-C leaves the build alone.",
    )
    .action((words: string | undefined, argv: string[], options: AttachOptions) =>
      run(async (context) => {
        const lines = wholeNumber(options.lines, '--lines')
        if (options.shell !== true && (argv.length > 0 || options.uid !== undefined))
          throw usageError('a command or a user is for --shell')
        requireRoot('attaching to builds')
        const builds = await listBuilds(context.stateDirectory)
        const running = builds.filter(({ state }) => state === 'running')
        const build = findBuild(running.length > 0 ? running : builds, words)
        return options.shell === true
          ? openShell(context, build, argv, options.uid ?? 'root')
          : follow(context, build, lines)
      }),
    )
}

async function follow(
  context: CliContext,
  build: KnownBuild,
  lines: number | undefined,
): Promise<number> {
  const { signal, style } = context
  const print = (piece: Buffer) =>
    new Promise<void>((done) => void process.stdout.write(piece, () => done()))
  const silent = () => undefined
  const end = await followBuild(build, style === 'json' ? silent : print, { lines, signal })
  const { id, name, state, failure } = end
  if (style === 'json') context.result({ id, name, state, failure }, '')
  if (state === 'succeeded') return exitCodes.success
  const code = failure?.code ?? 'BUILD_FAILED'
  return exitCodes[exitClass(new NspawnError(state, { code }))]
}

async function openShell(
  context: CliContext,
  build: KnownBuild,
  argv: readonly string[],
  user: string,
): Promise<number> {
  const machine = await machineOf(build)
  ensureForkSafe()
  return attach(context, machine, {
    user,
    program: argv.length === 0 ? { kind: 'shell' } : { kind: 'command', argv },
    environment: [],
    term: process.env['TERM'],
  })
}

const tries = 50
const pauseMs = 100

/** Between two steps there is no container for a moment. */
async function machineOf(build: KnownBuild): Promise<RunningMachine> {
  for (let left = tries; left > 0; left--) {
    const machine = findMachine(build.machine)
    if (machine !== undefined) return machine
    if ((await buildNow(build)).state !== 'running') break
    await sleep(pauseMs)
  }
  throw new NspawnError(`build ${build.id} runs in no container now`, {
    code: 'MACHINE_NOT_FOUND',
    operation: 'enter build',
    subject: build.name,
    hint: 'to see a step before it begins or after it fails, build with --shell-before or --shell-on-failure',
  })
}
