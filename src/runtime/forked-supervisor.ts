/**
 * The supervisor of one container, forked by the zygote. Synchronous, as all that is forked: it has no event loop, so
 * what comes in on the channel and as signals is read where the container is watched.
 */
import { constants } from 'node:os'
import { CleanupStack } from '../cleanup.ts'
import { serializeError, type SerializedError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { close, duplicateTo, read, write } from '../sys/fd.ts'
import { forkChildWithHeap } from '../sys/fork.ts'
import { CLONE_NEWPID } from '../sys/namespaces.ts'
import { exitProcess, setProcessName } from '../sys/process.ts'
import { openSignalDescriptor, readSignals } from '../sys/signalfd.ts'
import { registerMachine } from './registration.ts'
import { LineSplitter } from './line-splitter.ts'
import type { ContainerAnswer, ContainerOrder, ContainerRequest } from './protocol.ts'
import { startHooks } from './start-hooks.ts'
import {
  startContainer,
  SUPERVISOR_SIGNALS,
  type ContainerEnd,
  type Supervisor,
} from './supervisor.ts'

const SIGNALS = new Map(SUPERVISOR_SIGNALS.map((name) => [constants.signals[name], name]))

/** Reads the order from the channel, carries it out, answers, and ends this process. */
export function superviseByOrder(given: {
  readonly stdio: readonly [number, number, number]
  readonly channel: number
}): never {
  const channel = new Channel(given.channel)
  setProcessName('tsnspawn')
  try {
    for (const [target, fd] of given.stdio.entries()) duplicateTo(fd, target)
    for (const fd of given.stdio) if (fd > 2) close(fd)
    channel.answer({ kind: 'ended', end: supervise(channel) })
  } catch (error) {
    channel.answer({ kind: 'failed', error: serializeError(error) as SerializedError })
  }
  return exitProcess(0)
}

function supervise(channel: Channel): ContainerEnd {
  const order = channel.next() as ContainerOrder | undefined
  // Whoever asked is gone already.
  if (order === undefined) return exitProcess(0)
  channel.answer({ kind: 'taken' })
  const signals = { pollFd: openSignalDescriptor([...SIGNALS.keys()]) }
  // What came before the order was not meant for this container.
  readSignals(signals.pollFd)
  const { plan, rootPlace, secrets } = order
  const log: LogSink = (event) => channel.answer({ kind: 'event', event })
  const cleanup = new CleanupStack()
  try {
    const registration = registerMachine(plan, log, cleanup)
    const hooks = startHooks(plan, { registration, manager: () => {}, log, cleanup })
    const supervisor = startContainer(
      plan,
      {
        log,
        ...hooks,
        rootPlace,
        secrets,
        alsoWatched: [
          ...(hooks.alsoWatched ?? []),
          {
            get fd() {
              return channel.fd
            },
            onEvents: (running) => heed(channel, running),
          },
        ],
      },
      signals,
      (pidNamespace) => forkChildWithHeap(pidNamespace === 'new' ? CLONE_NEWPID : 0),
    )
    try {
      // What came in one go with the order is not told by poll(2) any more.
      if (channel.hasMessages) heed(channel, supervisor)
      return watch(supervisor, signals.pollFd, channel)
    } finally {
      supervisor.release()
    }
  } finally {
    cleanup.releaseAllNow()
  }
}

function watch(supervisor: Supervisor, signalFd: number, channel: Channel): ContainerEnd {
  for (;;) {
    if (supervisor.turn()) {
      for (const number of readSignals(signalFd)) {
        const signal = SIGNALS.get(number)
        if (signal !== undefined) supervisor.onSignal(signal)
      }
    }
    // Nobody wants the container any more.
    if (channel.fd < 0) supervisor.killNow('signal')
    const end = supervisor.end()
    if (end !== undefined) return end
  }
}

function heed(channel: Channel, supervisor: Supervisor): void {
  do {
    const request = channel.next() as ContainerRequest | undefined
    if (request?.kind === 'terminate') supervisor.onSignal('SIGTERM')
  } while (channel.hasMessages)
}

/** The supervisor's end of a channel. */
class Channel {
  /** -1, which poll(2) passes over, when the other side is gone. */
  fd: number
  private readonly lines: string[] = []
  private readonly splitter = new LineSplitter((line) => this.lines.push(line))
  private readonly chunk = Buffer.alloc(1 << 16)

  constructor(fd: number) {
    this.fd = fd
  }

  /** Whether messages have been read that nobody has taken. */
  get hasMessages(): boolean {
    return this.lines.length > 0
  }

  /** The next message; undefined when the other side is gone. Blocks. */
  next(): unknown {
    while (this.lines.length === 0 && this.fd >= 0) {
      const length = read(this.fd, this.chunk) ?? 0
      if (length > 0) this.splitter.write(this.chunk.subarray(0, length))
      else {
        close(this.fd)
        this.fd = -1
      }
    }
    const line = this.lines.shift()
    return line === undefined ? undefined : JSON.parse(line)
  }

  /** Nobody may be there to read it any more: then the next look at the channel tells. */
  answer(message: ContainerAnswer): void {
    if (this.fd < 0) return
    const bytes = Buffer.from(`${JSON.stringify(message)}\n`)
    try {
      for (let at = 0; at < bytes.length;) at += write(this.fd, bytes.subarray(at)) ?? 0
    } catch {
      close(this.fd)
      this.fd = -1
    }
  }
}
