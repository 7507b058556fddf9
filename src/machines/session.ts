/**
 * A command in a machine, from start to end, with the caller's terminal or streams attached (machinectl(1): shell,
 * login).
 */
import { NspawnError, reviveError } from '../errors.ts'
import { ConsoleForwarder } from '../runtime/console.ts'
import { receive, type ChildMessage } from '../runtime/messages.ts'
import { SignalInbox } from '../runtime/signals.ts'
import { close, packetSocketPair, poll, POLLIN, type PollEntry } from '../sys/fd.ts'
import {
  kill,
  openPidfd,
  signalPidfd,
  waitForChild,
  SIGHUP,
  SIGINT,
  SIGKILL,
  SIGTERM,
} from '../sys/process.ts'
import { isTerminal } from '../sys/termios.ts'
import { becomeCommand, type EnteredCommand } from './command.ts'
import { closeMachine, forkIntoMachine, openMachine, statusOf } from './enter.ts'
import type { RunningMachine } from '../runtime/registry.ts'
import { isEnding } from './processes.ts'
import { Relay } from './relay.ts'

export type SessionEnd =
  /** 128 + N when signal N ended it. */
  | { readonly kind: 'ended'; readonly status: number }
  /** The user left by `^]^]^]`. */
  | { readonly kind: 'detached' }
  /** The machine went away under it. */
  | { readonly kind: 'machine-ended' }

/** How often to look for signals when the inbox has nothing to wait on. */
const SIGNAL_FALLBACK_MS = 50
/** How long a command may take to go when its terminal has been closed. */
const HANGUP_GRACE_MS = 1000

const signalNumbers: Readonly<Record<string, number>> = { SIGHUP, SIGINT, SIGTERM }

/** Whether a session would get a terminal of its own: the caller must have one to show it in. */
export function hasTerminal(): boolean {
  return isTerminal(0) && isTerminal(1)
}

/**
 * Runs a command in a machine. Node must run with the flags that a fork needs.
 *
 * @throws NspawnError when it could not be started; operation `execve` when the program is to blame
 */
export async function runInMachine(
  machine: RunningMachine,
  command: Omit<EnteredCommand, 'stdio'>,
): Promise<SessionEnd> {
  const door = openMachine(machine)
  const relay = hasTerminal() ? undefined : new Relay()
  const signals = new SignalInbox(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGWINCH'])
  const [ours, theirs] = packetSocketPair()
  let session: Session | undefined
  try {
    const stdio = relay?.stdio ?? 'terminal'
    const child = forkIntoMachine(door, theirs, (control) => {
      close(ours)
      return becomeCommand({ ...command, stdio }, machine, control)
    })
    close(theirs)
    relay?.handedOver()
    session = new Session({ machine, child, control: ours, signals, relay })
    return await session.run()
  } finally {
    session?.release()
    relay?.release()
    signals.close()
    closeMachine(door)
  }
}

interface SessionParts {
  readonly machine: RunningMachine
  /** Our child, which waits for the command. */
  readonly child: number
  readonly control: number
  readonly signals: SignalInbox
  readonly relay: Relay | undefined
}

class Session {
  readonly #parts: SessionParts
  readonly #childFd: number
  #control: number | undefined
  /** pidfd of the command itself. */
  #command: number | undefined
  #console: ConsoleForwarder | undefined
  #failure: Error | undefined
  #interrupted = false
  #reaped = false
  /** When a command that was hung up on is killed. */
  #deadlineMs = Infinity
  #detached = false

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#control = parts.control
    this.#childFd = openPidfd(parts.child)
  }

  async run(): Promise<SessionEnd> {
    const { signals, relay, machine } = this.#parts
    for (;;) {
      const entries: PollEntry[] = [
        { fd: this.#childFd, events: POLLIN },
        { fd: signals.pollFd, events: POLLIN },
        ...(this.#control === undefined ? [] : [{ fd: this.#control, events: POLLIN }]),
        ...(this.#console?.pollEntries() ?? []),
        ...(relay?.pollEntries() ?? []),
      ]
      const events = poll(entries, this.#timeoutMs())
      for (const [i, { fd }] of entries.entries()) {
        if (events[i] === 0) continue
        if (fd === this.#control) this.#onMessage()
        else if (fd !== this.#childFd && fd !== signals.pollFd) {
          this.#console?.onEvents(fd, events[i] as number)
          relay?.onEvents(fd)
        }
      }
      for (const signal of await signals.take()) this.#onSignal(signal)
      this.#onRequest()
      if (performance.now() > this.#deadlineMs) this.#kill()
      const ended = waitForChild(this.#parts.child, 'no')
      if (ended === undefined) continue
      this.#reaped = true
      while (this.#control !== undefined) this.#onMessage()
      this.#console?.drain()
      relay?.drain()
      if (this.#failure !== undefined) throw this.#failure
      if (this.#detached) return { kind: 'detached' }
      if (isEnding(machine.leader)) return { kind: 'machine-ended' }
      return { kind: 'ended', status: statusOf(ended.reason) }
    }
  }

  #timeoutMs(): number {
    const waits = [
      this.#parts.signals.pollFd < 0 ? SIGNAL_FALLBACK_MS : -1,
      this.#console?.timeoutMs() ?? -1,
      this.#deadlineMs === Infinity ? -1 : Math.max(1, this.#deadlineMs - performance.now()),
    ].filter((wait) => wait >= 0)
    return waits.length === 0 ? -1 : Math.ceil(Math.min(...waits))
  }

  #onMessage(): void {
    const control = this.#control as number
    const received = receive<ChildMessage>(control)
    if (received === undefined) {
      close(control)
      this.#control = undefined
      return
    }
    const { message, fds } = received
    if (message.kind === 'failed') this.#failure ??= reviveError(message.error)
    else if (message.kind === 'assembled') this.#watchCommand(message.leader as number)
    else if (message.kind === 'started' && fds[0] !== undefined) {
      this.#console = new ConsoleForwarder(fds[0], { console: 'interactive', quiet: false })
    }
  }

  #watchCommand(pid: number): void {
    try {
      this.#command = openPidfd(pid)
    } catch (error) {
      // It was faster.
      if (!(error instanceof NspawnError) || error.code !== 'ESRCH') throw error
    }
  }

  #onSignal(signal: NodeJS.Signals): void {
    if (signal === 'SIGWINCH') {
      this.#console?.copyWindowSize()
      return
    }
    const number = signalNumbers[signal] ?? SIGTERM
    if (this.#interrupted || this.#command === undefined) this.#kill()
    else signalPidfd(this.#command, this.#console === undefined ? number : SIGHUP)
    this.#interrupted = true
  }

  /** Both: a program that gained privileges does not die with its parent. */
  #kill(): void {
    if (this.#command !== undefined) signalPidfd(this.#command, SIGKILL)
    kill(this.#parts.child, SIGKILL)
  }

  /** The keys that restart a container mean nothing here. */
  #onRequest(): void {
    if (this.#console?.takeRequest() !== 'kill') return
    this.#detached = true
    this.#deadlineMs = performance.now() + HANGUP_GRACE_MS
    this.#console.drain()
    this.#console.restore()
    this.#console = undefined
    if (this.#command !== undefined) signalPidfd(this.#command, SIGHUP)
  }

  release(): void {
    if (!this.#reaped) {
      this.#kill()
      waitForChild(this.#parts.child)
    }
    this.#console?.restore()
    for (const fd of [this.#childFd, this.#control, this.#command]) if (fd !== undefined) close(fd)
  }
}
