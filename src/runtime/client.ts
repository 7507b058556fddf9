/**
 * How the upper rooms (bootstrap, build, suites, cli) run a container: it is prepared and planned here, and a
 * supervisor that the zygote forks carries the plan out.
 *
 * In: `Settings`, and where stdio goes. Out: how the payload ended. Whatever ends this process ends the container.
 */
import { mkdirSync } from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError, reviveError, throwIfCanceled } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { runtimeDirectory } from '../paths.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import { close, open, pipe, O_RDONLY } from '../sys/fd.ts'
import type { ResourceUsage } from '../sys/process.ts'
import { announce, requireRoot } from './container.ts'
import { judge } from './exit-status.ts'
import { LineSplitter } from './line-splitter.ts'
import { madeHostChanges } from './made-host-changes.ts'
import { prepareContainer } from './prepare.ts'
import type { ContainerAnswer, ContainerOrder, ContainerRequest } from './protocol.ts'
import { gatherSecrets, type ContainerSecrets } from './secrets.ts'
import type { LimitHit } from './resource-control.ts'
import type { ContainerEnd } from './supervisor.ts'
import { openSupervisor } from './zygote-client.ts'
import { admitLayerAgain } from './overlay.ts'

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
  /**
   * Exit status of the payload; 255 when it was killed by a signal under the stub init. A container that reboots is
   * started again, or ends with 133 if it was to stay in the unit of the caller (`keepUnit`).
   */
  readonly status: number
  /** The number of the signal that ended the payload; undefined when it ended by itself. */
  readonly signal: number | undefined
  readonly timedOut: boolean
  readonly durationMs: number
  /** What all processes of the container used together, its set-up included; undefined when it was killed. */
  readonly usage: ResourceUsage | undefined
  /** Limits of `resourceControl` at which the kernel ended a process, or refused to make one. */
  readonly limitHits: readonly LimitHit[]
  /** What was captured; empty strings unless `stdio` is `capture`. */
  readonly stdout: string
  readonly stderr: string
}

/** How long a container may take to end before it is killed. */
const END_GRACE_MS = 10_000
/** Supervisors that die before they begin. */
const MAX_ATTEMPTS = 3
/** Longer lines of output are handed on in pieces. */
const LONGEST_LINE = 64 * 1024
/** How long output may come after the end, from processes that have left the container. */
const OUTPUT_GRACE_MS = 1000

/**
 * Runs one container to its end.
 *
 * @throws NspawnError when the container could not be set up or the payload not be executed; a
 *   payload that fails is an outcome, not an error
 */
export async function runContainer(run: ContainerRun): Promise<ContainerOutcome> {
  const began = performance.now()
  requireRoot()
  throwIfCanceled(run.signal, 'the container')
  await using cleanup = new CleanupStack()
  const log: LogSink = (event) => run.log?.(event)
  const context = {
    log,
    environment: ownEnvironment(),
    machinesDirectory: run.machinesDirectory,
    stdio: run.stdio === 'inherit' ? ('own' as const) : ('other' as const),
  }
  const secrets = await gatherSecrets(run.settings)
  const changes = madeHostChanges(log, cleanup)
  const { plan, warnings } = await prepareContainer(withConsole(run), context, changes)
  throwIfCanceled(run.signal, 'the container')
  for (const text of warnings) log({ kind: 'warning', text })
  announce(plan, run.settings, log)
  const output = new Output(run)
  const { end, timedOut } = await untilItEnds({ plan, secrets, run, log, output })
  throwIfCanceled(run.signal, 'the container')
  const reason = end?.kind === 'ended' ? end.reason : undefined
  return {
    status: end === undefined ? 1 : judge(end, plan.machine, run.settings.keepUnit).status,
    signal: reason?.kind === 'signaled' ? reason.signal : undefined,
    timedOut,
    durationMs: performance.now() - began,
    usage: end?.kind === 'ended' ? end.usage : undefined,
    limitHits: end?.kind === 'ended' ? end.limitHits : [],
    ...output.captured,
  }
}

/** Captured output is told apart by where it went, and has the ends of lines that the payload wrote. */
function withConsole({ settings, stdio }: ContainerRun): Settings {
  return stdio === 'capture' ? { ...settings, console: settings.console ?? 'pipe' } : settings
}

/** What a service manager passed to this very process is not for its containers. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { LISTEN_PID: _pid, LISTEN_FDS: _fds, NOTIFY_SOCKET: _socket, ...environment } = process.env
  return environment
}

/** `end` is missing when the run was given up. */
interface Supervised {
  readonly end: ContainerEnd | undefined
  readonly timedOut: boolean
}

interface Prepared {
  readonly plan: ContainerPlan
  readonly secrets: ContainerSecrets
  readonly run: ContainerRun
  readonly log: LogSink
  readonly output: Output
}

/** Starts the container again when it reboots, unless a service manager does that. */
async function untilItEnds(prepared: Prepared): Promise<Supervised> {
  const { plan, run } = prepared
  const deadlineMs = performance.now() + (run.timeoutMs ?? Infinity)
  let attempts = 0
  for (;;) {
    const leftMs = deadlineMs - performance.now()
    const timeoutMs = leftMs === Infinity ? undefined : Math.max(1, leftMs)
    const supervision = await supervised({ ...prepared, run: { ...run, timeoutMs } })
    if (supervision === 'not taken') {
      // It was about to die when it was asked: another one is as good.
      if (++attempts < MAX_ATTEMPTS) continue
      throw supervisorDied(plan.machine)
    }
    const { keepUnit } = run.settings
    if (supervision.end === undefined || keepUnit) return supervision
    if (!judge(supervision.end, plan.machine, keepUnit).reboot) return supervision
    admitLayerAgain(plan.root)
  }
}

/** Hands the plan to a supervisor and follows it. */
async function supervised({
  plan,
  secrets,
  run,
  log,
  output,
}: Prepared): Promise<Supervised | 'not taken'> {
  const rootPlace = join(runtimeDirectory(), 'root')
  mkdirSync(rootPlace, { recursive: true, mode: 0o755 })
  const channel = output.withDescriptors(openSupervisor)
  const say = (message: ContainerOrder | ContainerRequest) =>
    channel.write(`${JSON.stringify(message)}\n`)
  let answer: Extract<ContainerAnswer, { kind: 'ended' | 'failed' }> | undefined
  let taken = false
  const lines = new LineSplitter((line) => {
    const message = JSON.parse(line) as ContainerAnswer
    if (message.kind === 'event') log(message.event)
    else if (message.kind === 'taken') taken = true
    else answer = message
  })
  const timers: NodeJS.Timeout[] = []
  let timedOut = false
  const terminate = (): void => {
    say({ kind: 'terminate' })
    // Closing the channel kills.
    timers.push(setTimeout(() => channel.destroy(), END_GRACE_MS))
  }
  if (run.timeoutMs !== undefined) {
    const onTimeout = () => {
      timedOut = true
      terminate()
    }
    timers.push(setTimeout(onTimeout, run.timeoutMs))
  }
  run.signal?.addEventListener('abort', terminate)
  try {
    await new Promise<void>((resolve) => {
      channel.on('data', (bytes: Buffer) => lines.write(bytes))
      // What went wrong shows in the answer that is missing.
      channel.on('error', () => {})
      channel.on('close', () => resolve())
      say({ plan, secrets, rootPlace })
    })
    await output.finish()
  } finally {
    run.signal?.removeEventListener('abort', terminate)
    for (const timer of timers) clearTimeout(timer)
    channel.destroy()
  }
  if (timedOut || run.signal?.aborted === true) return { end: undefined, timedOut }
  if (answer?.kind === 'failed') throw reviveError(answer.error)
  if (!taken) return 'not taken'
  if (answer === undefined) throw supervisorDied(plan.machine)
  return { end: answer.end, timedOut }
}

function supervisorDied(machine: string): NspawnError {
  return new NspawnError('the supervisor of the container ended without an answer', {
    code: 'RUNTIME_DIED',
    operation: 'run container',
    subject: machine,
  })
}

/** Where the container's stdio goes. */
class Output {
  readonly captured = { stdout: '', stderr: '' }
  readonly #run: ContainerRun
  readonly #streams: { readonly socket: Socket; readonly closed: Promise<void> }[] = []

  constructor(run: ContainerRun) {
    this.#run = run
  }

  /** Opens what the container shall have as its stdio, for as long as `use` passes it on. */
  withDescriptors<T>(use: (stdio: readonly [number, number, number]) => T): T {
    if (this.#run.stdio === 'inherit') return use([0, 1, 2])
    const none = open('/dev/null', O_RDONLY)
    const [out, err] = [this.#open('stdout'), this.#open('stderr')]
    try {
      return use([none, out, err])
    } finally {
      for (const fd of [none, out, err]) close(fd)
    }
  }

  #open(stream: 'stdout' | 'stderr'): number {
    const [reading, writing] = pipe()
    const socket = new Socket({ fd: reading, readable: true, writable: false })
    const { stdio, onLine } = this.#run
    if (stdio === 'capture') {
      socket.setEncoding('utf8')
      socket.on('data', (text: string) => void (this.captured[stream] += text))
    } else {
      const lines = new LineSplitter((line) => onLine?.(line, stream), LONGEST_LINE)
      socket.on('data', (bytes: Buffer) => lines.write(bytes))
      socket.on('end', () => lines.end())
    }
    const closed = new Promise<void>((resolve) => void socket.on('close', () => resolve()))
    this.#streams.push({ socket, closed })
    return writing
  }

  /** Waits for the last output. */
  async finish(): Promise<void> {
    const timer = setTimeout(() => {
      for (const { socket } of this.#streams) socket.destroy()
    }, OUTPUT_GRACE_MS)
    await Promise.all(this.#streams.map(({ closed }) => closed))
    clearTimeout(timer)
  }
}
