/**
 * Notices servers that hang or trickle. Only time spent waiting for the server counts: a slow disk, a rate limit or a
 * decompressor that is behind are not its fault.
 */
import { NspawnError } from '../errors.ts'
import { withoutSecrets } from './url.ts'

const minimumBytesPerSecond = 30

export class StallWatch {
  private waitedMs = 0
  private received = 0
  private readonly url: URL
  private readonly stallMs: number

  /** @param stallMs so long a wait with fewer than 30 bytes a second is a stall */
  constructor(url: URL, stallMs: number) {
    this.url = url
    this.stallMs = stallMs
  }

  /**
   * Waits for the next bytes.
   *
   * @param stop called with the error when the server has stalled; it must make `next` settle
   */
  async wait(
    next: () => Promise<IteratorResult<Buffer>>,
    stop: (reason: NspawnError) => void,
  ): Promise<IteratorResult<Buffer>> {
    const began = performance.now()
    const timer = setTimeout(() => stop(this.error()), Math.max(0, this.stallMs - this.waitedMs))
    let step: IteratorResult<Buffer>
    try {
      step = await next()
    } finally {
      clearTimeout(timer)
    }
    this.waitedMs += performance.now() - began
    this.received += step.done === true ? 0 : step.value.length
    if (this.received >= (minimumBytesPerSecond * this.stallMs) / 1000) {
      this.received = 0
      this.waitedMs = 0
    }
    return step
  }

  private error(): NspawnError {
    return new NspawnError(
      `fewer than ${minimumBytesPerSecond} bytes a second for ${this.stallMs / 1000} s`,
      { code: 'STALLED', operation: 'GET', subject: withoutSecrets(this.url) },
    )
  }
}
