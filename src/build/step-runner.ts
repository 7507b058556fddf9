/** Runs the steps of a build in containers: their output goes to the log, their time into the record. */
import { statfsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { isatty } from 'node:tty'
import { describeError, NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { runContainer, type ContainerOutcome } from '../runtime/client.ts'
import type { Settings } from '../settings/settings.ts'
import type { BuildLog } from './build-log.ts'
import { stepLogName } from './step-logs.ts'
import { seconds, type BuildRecorder, type StepUsage } from './record.ts'

/** One container of a build. */
export interface Step {
  /** Unique in the plan, fit for a file name. */
  readonly id: string
  /** What it does, for people: "install build dependencies". */
  readonly title: string
  readonly settings: Settings
  /** Code of the error when its program fails. */
  readonly failure: string
  /** One sentence on what to try then. */
  readonly hint?: string
  /** Its standard output is an answer to us: it is in no log. */
  readonly answers?: true
  /** Statuses besides 0 that are no failure. */
  readonly accept?: readonly number[]
  /**
   * What a failure means more exactly than `failure` and `hint` say.
   *
   * @param lines the last ones of its output
   */
  readonly verdict?: (status: number, lines: readonly string[]) => Verdict | undefined
}

/** In place of a step's `failure` and `hint`. */
export interface Verdict {
  readonly code: string
  readonly hint?: string
}

export interface StepContext {
  /** What is built, for messages: name and version. */
  readonly subject: string
  readonly recorder: BuildRecorder
  readonly buildLog: BuildLog
  readonly log: LogSink
  readonly signal: AbortSignal | undefined
  /** On the clock of `performance.now()`. */
  readonly deadlineMs: number
  /** A step that prints nothing for so long is ended. */
  readonly silenceMs: number | undefined
  /** Whether what it writes to is bounded by the user rather than by the host. */
  readonly diskIsLimited: boolean
  /** Open a shell on the caller's terminal before the step. */
  readonly shellBefore: boolean
  /** Open a shell on the caller's terminal where a step failed. */
  readonly shellOnFailure: boolean
}

const shownLines = 12
const judgedLines = 20

/** Hears each line of a step's output beside the log. */
export type StepListener = (line: string, stream: 'stdout' | 'stderr') => void

/**
 * Runs one step to its end.
 *
 * @throws NspawnError with the step's own code and the last lines of its output; `TIMEOUT`; what
 *   `runContainer()` throws
 */
export async function runStep(
  step: Step,
  context: StepContext,
  onLine?: StepListener,
): Promise<void> {
  const { settings } = step
  if (context.shellBefore) await openShell(settings, context, 'before')
  const { recorder, buildLog, log } = context
  const from = buildLog.bytes
  buildLog.banner(step.title, settings.command)
  log({ kind: 'step', text: step.title })
  const began = performance.now()
  let outcome: StepOutcome | undefined
  try {
    outcome = await runInContainer(step, context, onLine)
  } finally {
    const ended = outcome !== undefined && !outcome.timedOut && !outcome.silent
    if (ended)
      buildLog.note(`exit status ${outcome!.status} after ${seconds(outcome!.durationMs)} s`)
    recorder.steps.push({
      id: step.id,
      title: step.title,
      command: settings.command,
      user: settings.user ?? 'root',
      network: settings.privateNetwork ? 'loopback' : 'host',
      ...(ended ? { status: outcome!.status } : {}),
      atSeconds: recorder.at(began),
      seconds: seconds(performance.now() - began),
      ...(outcome?.usage === undefined ? {} : { usage: usageOf(outcome.usage) }),
      log: { name: stepLogName(recorder.steps.length, step.id), from, to: buildLog.bytes },
    })
  }
  if (outcome.timedOut) {
    const hint = 'give it more with --timeout'
    throw failure({ ...step, hint }, context, 'TIMEOUT', ': the time limit ran out', undefined)
  }
  if (outcome.silent) {
    const hint = 'is it waiting for something? there is no input; allow more with --silence'
    throw failure(
      { ...step, hint },
      context,
      'TIMEOUT',
      ': it has printed nothing for too long',
      undefined,
    )
  }
  const { status } = outcome
  const [hit] = outcome.limitHits
  if (status === 0 || step.accept?.includes(status) === true) {
    // Whoever was ended for it may have been one of many that were tried.
    if (hit !== undefined) log({ kind: 'warning', text: `${step.title}: ${limitWords[hit]}` })
    return
  }
  const verdict = step.verdict?.(status, buildLog.lastLines(judgedLines))
  const error =
    hit !== undefined
      ? failure(
          { ...step, hint: limitHint },
          context,
          limitCodes[hit],
          `: ${limitWords[hit]}`,
          status,
        )
      : isDiskFull(step, context)
        ? diskFailure(step, context, status)
        : failure({ ...step, ...verdict }, context, verdict?.code ?? step.failure, '', status)
  if (context.shellOnFailure) await openShell(settings, context, 'after')
  throw error
}

const limitWords = {
  memory: 'the memory limit was hit, and the kernel ended a process for it',
  tasks: 'the limit of processes was hit',
} as const
const limitCodes = { memory: 'LIMIT_MEMORY', tasks: 'LIMIT_TASKS' } as const
const limitHint = 'allow more with --memory or --tasks, or build less at once with --jobs'

type ResourceUsage = NonNullable<ContainerOutcome['usage']>

interface StepOutcome extends Pick<
  ContainerOutcome,
  'status' | 'timedOut' | 'durationMs' | 'limitHits' | 'usage'
> {
  /** It was ended because it had printed nothing for too long. */
  readonly silent: boolean
}

function usageOf({ userMs, systemMs, maxRssKb }: ResourceUsage): StepUsage {
  return {
    userSeconds: seconds(userMs),
    systemSeconds: seconds(systemMs),
    largestProcessBytes: maxRssKb * 1024,
  }
}

async function runInContainer(
  { settings, answers }: Step,
  context: StepContext,
  onLine?: StepListener,
): Promise<StepOutcome> {
  const { buildLog, log, signal, deadlineMs, silenceMs } = context
  const began = performance.now()
  const leftMs = deadlineMs - began
  await makeWorkDirectory(settings)
  const quiet = new AbortController()
  const timer = silenceMs === undefined ? undefined : setTimeout(() => quiet.abort(), silenceMs)
  try {
    const outcome = await runContainer({
      settings,
      stdio: 'lines',
      onLine: (line, stream) => {
        timer?.refresh()
        if (answers !== true || stream === 'stderr') {
          buildLog.line(line)
          log({ kind: 'output', stream, line })
        }
        onLine?.(line, stream)
      },
      signal: signal === undefined ? quiet.signal : AbortSignal.any([signal, quiet.signal]),
      timeoutMs: leftMs === Infinity ? undefined : Math.max(1, leftMs),
    })
    return { ...outcome, silent: false }
  } catch (error) {
    if (!quiet.signal.aborted || signal?.aborted === true) throw error
    const durationMs = performance.now() - began
    return {
      status: 255,
      timedOut: false,
      durationMs,
      limitHits: [],
      usage: undefined,
      silent: true,
    }
  } finally {
    clearTimeout(timer)
  }
}

/** The same container, with a shell on the caller's terminal in place of its program. */
async function openShell(
  settings: Settings,
  { log, signal }: StepContext,
  when: 'before' | 'after',
): Promise<void> {
  const { root, environment, command } = settings
  const end =
    when === 'before' ? 'will be run; it begins when you leave with' : 'failed; leave it with'
  const text = `a shell where "${command.join(' ')}" ${end} "exit"`
  log({ kind: 'notice', text })
  const term = { name: 'TERM', value: process.env['TERM'] ?? 'dumb' }
  const shell: Settings = {
    ...settings,
    command: ['/bin/bash'],
    // A terminal of its own would not hear what comes from a pipe.
    console: isatty(0) && isatty(1) ? 'interactive' : 'pipe',
    environment: [...environment.filter(({ name }) => name !== 'TERM'), term],
    root:
      root.kind === 'layers' ? { ...root, workDirectory: `${root.workDirectory}-${when}` } : root,
  }
  try {
    await makeWorkDirectory(shell)
    await runContainer({ settings: shell, stdio: 'inherit', signal })
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    // The build's own failure is what has to be told.
    log({ kind: 'warning', text: `there is no shell: ${describeError(error)}` })
  }
}

async function makeWorkDirectory({ root }: Settings): Promise<void> {
  if (root.kind === 'layers') await mkdir(root.workDirectory)
}

function diskFailure(step: Step, context: StepContext, status: number): NspawnError {
  if (!context.diskIsLimited)
    return failure({ ...step, hint: fullHint }, context, 'ENOSPC', ': the disk is full', status)
  const hint = 'allow more with --disk'
  const why = ': the disk limit was hit'
  return failure({ ...step, hint }, context, 'LIMIT_DISK', why, status)
}

const fullHint = 'make room below the state directory, or move it with --state-dir'
const scarceBytes = 64 * 1024 ** 2

/** Programs say it in their own ways, and package tests say it on purpose: so both signs must be there. */
function isDiskFull({ settings: { root } }: Step, { buildLog }: StepContext): boolean {
  if (root.kind !== 'layers') return false
  const { bavail, blocks, bsize } = statfsSync(root.upper)
  if (bavail * bsize > Math.min(scarceBytes, (blocks * bsize) / 8)) return false
  return buildLog
    .lastLines(shownLines)
    .some((line) => /no space left|enough free space/i.test(line))
}

function failure(
  step: Step,
  { subject, buildLog }: StepContext,
  code: string,
  why: string,
  status: number | undefined,
): NspawnError {
  const lines = buildLog.lastLines(shownLines)
  const said = `its last lines:\n  | ${lines.join('\n  | ')}`
  return new NspawnError(`${subject}: cannot ${step.title}${why}`, {
    code,
    operation: step.settings.command[0],
    status,
    hint: step.hint,
    cause: lines.length === 0 ? undefined : new NspawnError(said, { code: 'OUTPUT' }),
  })
}
