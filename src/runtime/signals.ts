/**
 * Signals for a supervisor that waits in poll(2), not in Node's event loop.
 *
 * Node's worker threads leave signals unblocked, so a signalfd would miss those that a worker takes. libuv's handler
 * runs on any thread and writes to a pipe; that pipe is polled too, and when it is readable the event loop gets one
 * turn to run the listeners.
 */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs'

export class SignalInbox {
  private readonly pending: NodeJS.Signals[] = []
  private readonly listeners = new Map<NodeJS.Signals, () => void>()
  /** To be polled for reading; -1, which poll(2) ignores, when it was not found. */
  readonly pollFd: number

  constructor(signals: readonly NodeJS.Signals[]) {
    const before = new Set(knownPipe === undefined ? openDescriptors() : [])
    for (const signal of signals) {
      const listener = () => void this.pending.push(signal)
      this.listeners.set(signal, listener)
      process.on(signal, listener)
    }
    knownPipe ??= openDescriptors().find((fd) => !before.has(fd) && isPipe(fd))
    this.pollFd = knownPipe ?? -1
  }

  /** The signals that came in; call it when `pollFd` is readable, or from time to time without one. */
  async take(): Promise<NodeJS.Signals[]> {
    await new Promise((resolve) => setImmediate(resolve))
    return this.pending.splice(0)
  }

  close(): void {
    for (const [signal, listener] of this.listeners) process.removeListener(signal, listener)
  }
}

/** libuv keeps one pipe for all of a process's life. */
let knownPipe: number | undefined

/** Descriptors of this process, ascending: the reading end of a pipe comes first. */
function openDescriptors(): number[] {
  // The directory's own descriptor is in the list, and closed again by now.
  return readdirSync('/proc/self/fd')
    .filter((name) => lstatSync(`/proc/self/fd/${name}`, { throwIfNoEntry: false }) !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b)
}

function isPipe(fd: number): boolean {
  return readlinkSync(`/proc/self/fd/${fd}`).startsWith('pipe:')
}
