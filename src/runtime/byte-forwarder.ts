/**
 * Carries bytes from one non-blocking descriptor to another, as a console needs it twice: what was read
 * and could not be written yet is kept, and while there is too much of that nothing is read, so that the
 * writer at the far end is slowed down rather than its bytes lost.
 */
import { read, write } from '../sys/fd.ts'
import { ByteRing } from './byte-ring.ts'

const CAPACITY_BYTES = 64 * 1024

/** Looks at what was read and says what is to be passed on, in order. */
export type Inspect = (input: Uint8Array) => readonly Uint8Array[]

export interface ForwarderOptions {
  readonly from: number
  readonly to: number
  readonly inspect?: Inspect | undefined
  /** `inspect` gives at most this many bytes for each that it gets; default 1. */
  readonly growth?: number | undefined
  readonly capacityBytes?: number | undefined
}

export class ByteForwarder {
  readonly #ring: ByteRing
  readonly #options: ForwarderOptions
  #input: 'open' | 'ended' = 'open'
  #lastByte: number | undefined

  /**
   * With blocking descriptors, read and write only when poll(2) says that they are ready; a large write
   * may wait even so.
   */
  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#ring = new ByteRing(options.capacityBytes ?? CAPACITY_BYTES)
  }

  /** Whether it is worth waiting for `from` to become readable. */
  get wantsInput(): boolean {
    return this.#input === 'open' && this.#ring.free >= (this.#options.growth ?? 1)
  }

  /** Whether it is worth waiting for `to` to become writable. */
  get wantsOutput(): boolean {
    return this.#ring.length > 0
  }

  /** The input has ended; what was read from it may still wait to be written. */
  get ended(): boolean {
    return this.#input === 'ended'
  }

  /** The last byte that was written, for a final newline; undefined before the first. */
  get lastByte(): number | undefined {
    return this.#lastByte
  }

  /**
   * Reads once, if there is room.
   *
   * @returns how many bytes were read; 0 when there was nothing, or the input has ended
   */
  readSome(): number {
    if (!this.wantsInput) return 0
    const { inspect, growth = 1 } = this.#options
    const space = this.#ring.space().subarray(0, Math.floor(this.#ring.free / growth))
    const count = read(this.#options.from, space)
    if (count === undefined) return 0
    if (count === 0) {
      this.#input = 'ended'
      return 0
    }
    if (inspect === undefined) this.#ring.filled(count)
    // The parts are put where they were read to, so they must not be views of that.
    else for (const part of inspect(Buffer.from(space.subarray(0, count)))) this.#ring.push(part)
    return count
  }

  /**
   * Writes once, if anything waits.
   *
   * @returns how many bytes were written
   * @throws NspawnError `EPIPE`, `EIO` when nobody will ever read them
   */
  writeSome(): number {
    if (!this.wantsOutput) return 0
    const pending = this.#ring.pending()
    const count = write(this.#options.to, pending)
    if (count === undefined || count === 0) return 0
    this.#lastByte = pending[count - 1]
    this.#ring.taken(count)
    return count
  }

  /**
   * Takes the end of input back: a pseudoterminal that everyone has closed is at its end, until someone
   * opens it again.
   */
  reopen(): void {
    this.#input = 'open'
  }
}
