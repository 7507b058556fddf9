/**
 * How the upper rooms (bootstrap, build, testing, cli) run a container: a process of the lean runtime
 * is started with the settings on a descriptor, and answers on another with events and one outcome.
 *
 * In: `Settings`, and where stdio goes. Out: how the payload ended. The runtime process dies with its
 * caller, and takes the container along.
 */
import { dirname, join } from 'node:path'
import { NspawnError, reviveError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { packageDirectory } from '../paths.ts'
import { runAttachedProgram } from '../process.ts'
import type { Settings } from '../settings/settings.ts'
import { START_FLAGS } from './fork-safe-flags.ts'
import type { RuntimeAnswer, RuntimeRequest } from './protocol.ts'

export interface ContainerRun {
  readonly settings: Settings
  /**
   * `inherit` gives the payload the caller's own stdio (a pty in between when it is a terminal);
   * `lines` hands each line of output to `onLine`, with stdin empty; `capture` collects it.
   */
  readonly stdio: 'inherit' | 'lines' | 'capture'
  readonly onLine?: ((line: string, stream: 'stdout' | 'stderr') => void) | undefined
  /** Notices and warnings of the runtime. */
  readonly log?: LogSink | undefined
  /** Where images are searched for; undefined leaves it to the environment. */
  readonly machinesDirectory?: string | undefined
  /** Aborting ends the container at once and rejects with code `CANCELED`. */
  readonly signal?: AbortSignal | undefined
  /** After this long the container is killed and the outcome says `timed out`. */
  readonly timeoutMs?: number | undefined
}

export interface ContainerOutcome {
  /** Exit status of the payload; 255 when it was killed by a signal under the stub init. */
  readonly status: number
  readonly timedOut: boolean
  readonly durationMs: number
  /** What was captured; empty strings unless `stdio` is `capture`. */
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs one container to its end.
 *
 * @throws NspawnError when the container could not be set up or the payload not be executed; a
 *   payload that fails is an outcome, not an error
 */
export async function runContainer(run: ContainerRun): Promise<ContainerOutcome> {
  const began = performance.now()
  const request: RuntimeRequest = {
    settings: run.settings,
    machinesDirectory: run.machinesDirectory,
  }
  let answer: Exclude<RuntimeAnswer, { kind: 'event' }> | undefined
  const captured = { stdout: '', stderr: '' }
  const ended = await runAttachedProgram({
    argv: [process.execPath, ...START_FLAGS, runtimeProgram()],
    stdio: run.stdio === 'inherit' ? 'inherit' : 'lines',
    request: JSON.stringify(request),
    onLine: (line, stream) => {
      if (run.stdio === 'capture') captured[stream] += `${line}\n`
      else run.onLine?.(line, stream)
    },
    onAnswer: (line) => {
      const message = JSON.parse(line) as RuntimeAnswer
      if (message.kind === 'event') run.log?.(message.event)
      else answer = message
    },
    signal: run.signal,
    timeoutMs: run.timeoutMs,
    graceMs: END_GRACE_MS,
  })
  if (run.signal?.aborted === true) {
    throw new NspawnError('the container was canceled', {
      code: 'CANCELED',
      operation: 'run container',
    })
  }
  if (!ended.timedOut && answer?.kind === 'failed') throw reviveError(answer.error)
  if (!ended.timedOut && answer === undefined) {
    throw new NspawnError(`the runtime process ended by ${ended.how} without an answer`, {
      code: 'RUNTIME_DIED',
      operation: 'run container',
    })
  }
  return {
    status: answer?.kind === 'ended' ? answer.status : 1,
    timedOut: ended.timedOut,
    durationMs: performance.now() - began,
    ...captured,
  }
}

/** How long the runtime may take to end a container before it is killed itself. */
const END_GRACE_MS = 10_000

function runtimeProgram(): string {
  return join(packageDirectory(dirname(import.meta.filename)), 'dist/runtime.cjs')
}
