/**
 * The parent's side of one container: forks its first child, follows the start, then watches the leader until it
 * ends: console, signals, readiness.
 *
 * In: a plan, and the place where the outer child may mount the root. Out: how the leader ended.
 */
import { NspawnError, reviveError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import { close, packetSocketPair, poll, POLLIN, type PollEntry } from '../sys/fd.ts'
import { forkWithHeap } from '../sys/fork.ts'
import {
  blockSignals,
  kill,
  openPidfd,
  prctl,
  restoreSignals,
  waitForChild,
  PR_SET_CHILD_SUBREAPER,
  SIGKILL,
  type EndedChild,
  type ExitReason,
  type ResourceUsage,
} from '../sys/process.ts'
import { ConsoleForwarder } from './console.ts'
import {
  receive,
  sendIfAlive,
  type ChildMessage,
  type SupervisorDescriptor,
  type SupervisorMessage,
} from './messages.ts'
import { NotifySocket } from './notify.ts'
import { runOuterChild } from './outer-child.ts'
import type { ContainerSecrets } from './secrets.ts'
import type { ServiceManager, Watchdog } from './service-manager.ts'
import type { LimitHit } from './resource-control.ts'
import { readinessFor } from './signal-readiness.ts'
import type { SignalInbox } from './signals.ts'
import { runSoleChild } from './sole-child.ts'

export type ContainerEnd =
  /** The leader ended by itself, or by what we passed on to it. */
  | {
      readonly kind: 'ended'
      readonly reason: ExitReason
      readonly usage: ResourceUsage
      readonly limitHits: readonly LimitHit[]
    }
  /** We killed it: escape sequence, SIGTERM or SIGINT without a kill signal, or a second one. */
  | { readonly kind: 'killed'; readonly by: 'escape' | 'signal' }

export interface SupervisorOptions {
  readonly log: LogSink
  /** Empty directory of the host; the root is mounted there in the outer child's namespace. */
  readonly rootPlace: string
  readonly secrets: ContainerSecrets
  /** Told when the container runs, is ready, and goes. */
  readonly serviceManager: ServiceManager
  /** Undefined when nobody watches whether this process is alive. */
  readonly watchdog?: Watchdog | undefined
  /** Called with the leader's pid when its namespaces exist and before it goes on: cgroups, registration. */
  readonly onLeader: (pid: number) => void
  /** Which limits of its control group were hit so far; called when the leader has ended. */
  readonly limitHits: () => readonly LimitHit[]
  /** Called with the leader while it waits for its links, and with a monitor of addresses for forwarded ports. */
  readonly onNetwork: (pid: number, monitor: number | undefined) => void
  /** Called with the leader while it waits with everything of the container but its payload. */
  readonly onCreated: (pid: number) => void
  /** Called with the leader when the payload takes over. */
  readonly onStarted: (pid: number) => void
  /** What else to wait for meanwhile: who asked for the container may have something to say. */
  readonly alsoWatched?: readonly Watched[] | undefined
}

/** A descriptor, -1 as long as there is none, and what to do when something comes in there. */
export interface Watched {
  readonly fd: number
  /** What is waited for; data to read unless it says otherwise. */
  readonly events?: number
  readonly onEvents: (supervisor: Supervisor) => void
}

/** Where the supervisor's signals come in. */
export interface SignalSource {
  /** Readable when signals may have come; -1 when nothing tells. */
  readonly pollFd: number
}

/** What to make the first child with: how depends on whether this process has threads. */
export type Fork = (pidNamespace: 'same' | 'new') => number

/** What a supervisor acts on: an end in good order or at once, and a new size of the terminal. */
export const SUPERVISOR_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGWINCH'] as const

/** An init that is being started is looked at this often. */
const HALT_RETRY_MS = 20
/** A process that blocks every signal this often in a row does not merely fork. */
const UNCLEAR_LOOKS = 10

/** When the signal pipe could not be found, look for signals this often. */
const SIGNAL_FALLBACK_MS = 50

/**
 * Supervises one container from a process with an event loop.
 *
 * @param signals SUPERVISOR_SIGNALS, which may have come in before the container was there
 */
export async function superviseContainer(
  plan: ContainerPlan,
  options: SupervisorOptions,
  signals: SignalInbox,
): Promise<ContainerEnd> {
  const supervisor = startContainer(plan, options, signals, forkWithHeap)
  try {
    for (;;) {
      if (supervisor.turn()) for (const signal of await signals.take()) supervisor.onSignal(signal)
      const end = supervisor.end()
      if (end !== undefined) return end
    }
  } finally {
    supervisor.release()
  }
}

/**
 * Forks the first child of a container.
 *
 * @returns who watches it: call `turn()` and `end()` by turns, and `release()` at last
 */
export function startContainer(
  plan: ContainerPlan,
  options: SupervisorOptions,
  signals: SignalSource,
  fork: Fork,
): Supervisor {
  prctl(PR_SET_CHILD_SUBREAPER, 1)
  const [ours, theirs] = packetSocketPair()
  const { users } = plan
  const pidNamespace = users === undefined && plan.namespaces.includes('pid') ? 'new' : 'same'
  const mask = blockSignals()
  const child = fork(pidNamespace)
  if (child === 0) {
    // Signals stay blocked until the payload starts: their handlers here are the supervisor's.
    close(ours)
    if (users === undefined) runSoleChild(plan, theirs, options.rootPlace, options.secrets)
    runOuterChild(plan, users, theirs, options.rootPlace, options.secrets)
  }
  restoreSignals(mask)
  close(theirs)
  const supervisor = new Supervisor(plan, options, signals, ours)
  try {
    if (users === undefined) supervisor.adoptLeader(child)
    else supervisor.watchOuterChild(child)
    return supervisor
  } catch (error) {
    supervisor.release()
    throw error
  }
}

export class Supervisor {
  private readonly plan: ContainerPlan
  private readonly options: SupervisorOptions
  private readonly signals: SignalSource
  private control: number | undefined
  private outer: { readonly pid: number; readonly pidfd: number } | undefined
  private leader: { readonly pid: number; readonly pidfd: number; reaped: boolean } | undefined
  private started = false
  private failure: Error | undefined
  private killed: 'escape' | 'signal' | undefined
  /** `waiting` for the leader to be ready for the signal. */
  private halt: 'no' | 'waiting' | 'requested' = 'no'
  private unclearLooks = 0
  private console: ConsoleForwarder | undefined
  private notify: NotifySocket | undefined
  private readonly held: number[] = []

  constructor(
    plan: ContainerPlan,
    options: SupervisorOptions,
    signals: SignalSource,
    control: number,
  ) {
    this.plan = plan
    this.options = options
    this.signals = signals
    this.control = control
  }

  watchOuterChild(pid: number): void {
    this.outer = { pid, pidfd: openPidfd(pid) }
  }

  /** Waits once, and does what there is to do. @returns whether signals may have come in */
  turn(): boolean {
    const sources = this.pollSources()
    const entries = sources.map((source) => source.entry)
    const events = poll(entries, this.timeoutMs())
    let signaled = this.signals.pollFd < 0
    for (const [i, source] of sources.entries()) {
      if (events[i] === 0) continue
      if (source.handle === 'signals') signaled = true
      else source.handle(events[i] as number)
    }
    this.options.watchdog?.keepAlive()
    if (this.halt === 'waiting') this.tryHalt()
    return signaled
  }

  /** Until the next thing that comes by itself; -1 when there is none. */
  private timeoutMs(): number {
    const times = [
      this.signals.pollFd < 0 ? SIGNAL_FALLBACK_MS : -1,
      this.halt === 'waiting' ? HALT_RETRY_MS : -1,
      this.console?.timeoutMs() ?? -1,
      this.options.watchdog?.timeoutMs() ?? -1,
    ].filter((ms) => ms >= 0)
    return times.length === 0 ? -1 : Math.min(...times)
  }

  private pollSources(): { entry: PollEntry; handle: ((events: number) => void) | 'signals' }[] {
    const sources: ReturnType<Supervisor['pollSources']> = [
      { entry: { fd: this.signals.pollFd, events: POLLIN }, handle: 'signals' },
    ]
    const { alsoWatched = [] } = this.options
    for (const one of alsoWatched) {
      const { fd, events = POLLIN } = one
      sources.push({ entry: { fd, events }, handle: () => one.onEvents(this) })
    }
    if (this.control !== undefined) {
      sources.push({ entry: { fd: this.control, events: POLLIN }, handle: () => this.onMessage() })
    }
    if (this.outer !== undefined) {
      sources.push({
        entry: { fd: this.outer.pidfd, events: POLLIN },
        handle: () => this.onOuterEnd(),
      })
    }
    if (this.leader !== undefined) {
      sources.push({ entry: { fd: this.leader.pidfd, events: POLLIN }, handle: () => {} })
    }
    if (this.notify !== undefined) {
      const { notify } = this
      sources.push({ entry: { fd: notify.fd, events: POLLIN }, handle: () => notify.receive() })
    }
    for (const entry of this.console?.pollEntries() ?? []) {
      sources.push({ entry, handle: (events) => this.console?.onEvents(entry.fd, events) })
    }
    return sources
  }

  private onMessage(): void {
    const received = receive<ChildMessage>(this.control as number)
    if (received === undefined) {
      // The last copy of the children's end is gone: the payload has been executed, or all have died.
      close(this.control as number)
      this.control = undefined
      return
    }
    const { message, fds } = received
    switch (message.kind) {
      case 'assembled':
        if (message.leader !== undefined) this.adoptLeader(message.leader)
        this.holdDescriptors(message.fds, fds)
        return
      case 'network':
        this.answer('connected', (leader) => this.options.onNetwork(leader, fds[0]))
        return
      case 'created':
        this.answer('hooked', (leader) => this.options.onCreated(leader))
        return
      case 'started':
        this.started = true
        this.options.onStarted(this.leader?.pid as number)
        this.options.serviceManager(
          'STATUS=Container running.',
          `X_NSPAWN_LEADER_PID=${this.leader?.pid}`,
          ...(this.plan.notifyReady ? [] : ['READY=1']),
        )
        if (fds[0] !== undefined) this.console = new ConsoleForwarder(fds[0], this.plan)
        return
      case 'warning':
        this.options.log({ kind: 'warning', text: message.text })
        return
      case 'failed':
        this.failure ??= reviveError(message.error)
    }
  }

  /** Does what the leader waits for, and tells it so. */
  private answer(kind: SupervisorMessage['kind'], work: (leader: number) => void): void {
    try {
      work(this.leader?.pid as number)
      sendIfAlive(this.control as number, { kind })
    } catch (error) {
      this.failure ??= error as Error
      this.killLeader(SIGKILL)
    }
  }

  /** The outer child's work is done, or it failed, and then the inner one cannot go on. */
  private onOuterEnd(): void {
    const ended = this.outer === undefined ? undefined : waitForChild(this.outer.pid, 'no')
    if (this.outer === undefined || ended === undefined) return
    close(this.outer.pidfd)
    this.outer = undefined
    // Its last message may still be in the socket.
    while (this.leader === undefined && this.control !== undefined) this.onMessage()
    const succeeded = ended.reason.kind === 'exited' && ended.reason.status === 0
    if (this.leader === undefined) return
    if (succeeded && this.control !== undefined) sendIfAlive(this.control, { kind: 'adopted' })
    else this.killLeader(SIGKILL)
  }

  /** Never after it was reaped: its pid may be somebody else's then. */
  private killLeader(signal: number): void {
    if (this.leader !== undefined && !this.leader.reaped) kill(this.leader.pid, signal)
  }

  private holdDescriptors(names: readonly SupervisorDescriptor[], fds: readonly number[]): void {
    for (const [i, name] of names.entries()) {
      const fd = fds[i] as number
      if (name === 'kmsg') this.held.push(fd)
      else {
        const leader = this.leader?.pid as number
        this.notify = new NotifySocket(fd, leader, this.options.serviceManager)
      }
    }
  }

  /** Puts the container's first process where it belongs and lets it go on. */
  adoptLeader(pid: number): void {
    this.leader = { pid, pidfd: openPidfd(pid), reaped: false }
    try {
      this.options.onLeader(pid)
      sendIfAlive(this.control as number, { kind: 'go' })
    } catch (error) {
      this.failure ??= error as Error
      this.killLeader(SIGKILL)
    }
  }

  onSignal(signal: NodeJS.Signals): void {
    if (signal === 'SIGWINCH') {
      this.console?.copyWindowSize()
      return
    }
    if (this.plan.killSignal === undefined || this.halt !== 'no') {
      this.killNow('signal')
      return
    }
    this.options.log({
      kind: 'notice',
      text: `Trying to halt container. Send SIGTERM again to trigger immediate termination.`,
    })
    this.halt = 'waiting'
    this.tryHalt()
  }

  private tryHalt(): void {
    const { killSignal } = this.plan
    if (killSignal === undefined || this.leader === undefined || this.leader.reaped) return
    // While the children's end is open the leader is still a child of ours, which blocks everything.
    if (this.control !== undefined) return
    if (!this.plan.stubInit) {
      const readiness = readinessFor(killSignal, this.leader.pid)
      this.unclearLooks = readiness === 'unclear' ? this.unclearLooks + 1 : 0
      if (readiness !== 'ready' && this.unclearLooks < UNCLEAR_LOOKS) return
    }
    this.halt = 'requested'
    this.killLeader(killSignal)
  }

  /** Ends the container without asking it. */
  killNow(by: 'escape' | 'signal'): void {
    this.killed ??= by
    this.killLeader(SIGKILL)
    if (this.leader === undefined && this.outer !== undefined) kill(this.outer.pid, SIGKILL)
  }

  /** Reaps; tells the end once the leader, and everybody who still has something to report, is gone. */
  end(): ContainerEnd | undefined {
    const request = this.console?.takeRequest()
    if (request === 'kill') this.killNow('escape')
    else if (request !== undefined) this.killLeader(request)
    let last: EndedChild | undefined
    for (let ended = this.reap(); ended !== undefined; ended = this.reap()) {
      if (ended.pid !== this.leader?.pid) continue
      this.leader.reaped = true
      last = ended
    }
    if (last === undefined && (this.outer !== undefined || this.leader !== undefined))
      return undefined
    while (this.control !== undefined) this.onMessage()
    // It may have said that it is ready right before it ended.
    this.notify?.receive()
    this.console?.drain()
    if (this.failure !== undefined) throw this.failure
    if (this.killed !== undefined) return { kind: 'killed', by: this.killed }
    if (last === undefined || !this.started) {
      throw new NspawnError('the container died before its payload was started', {
        code: 'CHILD_DIED',
        subject: this.plan.machine,
        hint: 'run again with --debug to see the last step',
      })
    }
    const { reason, usage } = last
    return { kind: 'ended', reason, usage, limitHits: this.options.limitHits() }
  }

  /** Any child that has ended, orphans of the container included, but the outer child, which has a turn of its own. */
  private reap(): ReturnType<typeof waitForChild> {
    return this.outer === undefined
      ? waitForChild(-1, 'no')
      : this.leader === undefined
        ? undefined
        : waitForChild(this.leader.pid, 'no')
  }

  release(): void {
    if (this.leader !== undefined) {
      this.killLeader(SIGKILL)
      if (!this.leader.reaped) waitForChild(this.leader.pid)
      close(this.leader.pidfd)
    }
    if (this.outer !== undefined) {
      kill(this.outer.pid, SIGKILL)
      waitForChild(this.outer.pid)
      close(this.outer.pidfd)
    }
    this.console?.restore()
    this.notify?.close()
    if (this.control !== undefined) close(this.control)
    for (const fd of this.held) close(fd)
  }
}
