/**
 * Standard streams for a command in a machine when it gets no terminal of its own. What is no terminal is handed over as
 * it is; a terminal of the host stays on the host, and a pipe carries its bytes, or the machine could write into the
 * caller's input.
 */
import { NspawnError } from '../errors.ts'
import { ByteForwarder } from '../runtime/byte-forwarder.ts'
import { close, pipe, poll, POLLIN, POLLOUT, setNonBlocking, type PollEntry } from '../sys/fd.ts'
import { isTerminal } from '../sys/termios.ts'

interface Lane {
  readonly from: number
  readonly to: number
  readonly forwarder: ByteForwarder
  /** Which of the two is ours to close. */
  readonly ours: number
  closed: boolean
}

export class Relay {
  /** For the command: stdin, stdout and stderr. */
  readonly stdio: readonly [number, number, number]
  readonly #lanes: Lane[] = []
  readonly #theirs: number[] = []

  constructor() {
    this.stdio = [this.#streamFor(0), this.#streamFor(1), this.#streamFor(2)]
  }

  #streamFor(fd: number): number {
    if (!isTerminal(fd)) return fd
    const [output, input] = pipe()
    const [ours, theirs] = fd === 0 ? [input, output] : [output, input]
    setNonBlocking(ours)
    const [from, to] = fd === 0 ? [fd, ours] : [ours, fd]
    this.#lanes.push({ from, to, ours, closed: false, forwarder: new ByteForwarder({ from, to }) })
    this.#theirs.push(theirs)
    return theirs
  }

  /** Lets go of what the command has by now. */
  handedOver(): void {
    for (const fd of this.#theirs.splice(0)) close(fd)
  }

  pollEntries(): PollEntry[] {
    return this.#lanes.flatMap(({ from, to, forwarder, closed }) => [
      ...(!closed && forwarder.wantsInput ? [{ fd: from, events: POLLIN }] : []),
      ...(!closed && forwarder.wantsOutput ? [{ fd: to, events: POLLOUT }] : []),
    ])
  }

  /** Moves bytes after poll(2) found something about one of `pollEntries()`. */
  onEvents(fd: number): void {
    for (const lane of this.#lanes) {
      if (lane.closed || (lane.from !== fd && lane.to !== fd)) continue
      if (lane.from === fd) lane.forwarder.readSome()
      this.#write(lane)
      if (lane.forwarder.ended && !lane.forwarder.wantsOutput) this.#close(lane)
    }
  }

  /** Shows what was written before the end. */
  drain(): void {
    for (const lane of this.#lanes) {
      if (lane.closed || lane.to > 2) continue
      while (!lane.closed && (lane.forwarder.readSome() > 0 || lane.forwarder.wantsOutput)) {
        if (lane.forwarder.wantsOutput) poll([{ fd: lane.to, events: POLLOUT }], -1)
        this.#write(lane)
      }
    }
  }

  release(): void {
    this.handedOver()
    for (const lane of this.#lanes) this.#close(lane)
  }

  #write(lane: Lane): void {
    try {
      lane.forwarder.writeSome()
    } catch (error) {
      // Nobody reads it any more: the command is told so by its next write, or has ended.
      if (!(error instanceof NspawnError) || !['EPIPE', 'EIO'].includes(error.code)) throw error
      this.#close(lane)
    }
  }

  #close(lane: Lane): void {
    if (!lane.closed) close(lane.ours)
    lane.closed = true
  }
}
