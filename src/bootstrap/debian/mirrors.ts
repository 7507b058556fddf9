/**
 * Several places that have the same archive. The first is asked until it fails; then the next, and all who come
 * later ask that one too. What any of them serves is checked by hash or signature, so it does not matter which.
 */
import type { NspawnError } from '../../errors.ts'
import { silent, type LogSink } from '../../log.ts'
import type { SteadyRequest } from '../../transfer/steady-stream.ts'
import { withoutSecrets } from '../../transfer/url.ts'

/** How long a mirror is waited for. */
export type Patience = Pick<SteadyRequest, 'stallMs' | 'retries'>

/** Where another mirror can be asked: at once, and sooner than the sixty seconds that one gets who is alone. */
const shortPatience: Patience = { stallMs: 20_000, retries: 0 }

/** Failures that another mirror need not have: those of its line, and of what it has there. */
const theirFault = new Set([
  ...['SIGNATURE_INVALID', 'SIGNER_UNKNOWN', 'INDEX_REFUSED', 'NOT_FOUND', 'CHECKSUM_MISMATCH'],
  ...['SIZE_MISMATCH', 'TOO_LARGE', 'TRUNCATED', 'FILE_CHANGED', 'BAD_COMPRESSION', 'BAD_CONTROL'],
  ...['STALLED', 'NETWORK', 'HTTP_STATUS', 'SERVER_BUSY', 'ECONNREFUSED', 'ECONNRESET'],
  ...['EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'BAD_RANGE'],
])

/** A mirror that is being asked, and which have been asked in vain before for the same thing. */
export interface Attempt {
  readonly base: URL
  readonly patience: Patience
  readonly before: readonly URL[]
}

export class Mirrors {
  private order: readonly URL[]
  private readonly log: LogSink
  private readonly alone: Patience

  /**
   * @param bases the archive's root at each of them, with a slash at its end; in the order of preference
   * @param alone what the last one gets
   */
  constructor(bases: readonly [URL, ...URL[]], log: LogSink = silent, alone: Patience = {}) {
    this.order = bases
    this.log = log
    this.alone = alone
  }

  first(): Attempt {
    return this.attempt(this.order[0]!, [])
  }

  /** Whom to ask after the failure; undefined when that was the last one, or no mirror is to blame. */
  after({ base, before }: Attempt, error: unknown): Attempt | undefined {
    if (!theirFault.has((error as NspawnError).code)) return undefined
    const asked = [...before, base]
    const next = this.order.find((one) => !asked.includes(one))
    if (next === undefined) return undefined
    if (this.order[0] === base) {
      this.order = [...this.order.slice(1), base]
      const text = `${withoutSecrets(base)} failed: ${(error as Error).message}; going on with ${withoutSecrets(next)}`
      this.log({ kind: 'warning', text })
    }
    return this.attempt(next, asked)
  }

  /** Does the work with one mirror after the other. @throws what it threw with the last */
  async run<T>(work: (base: URL, patience: Patience) => Promise<T>): Promise<T> {
    for (let attempt = this.first(); ;) {
      try {
        return await work(attempt.base, attempt.patience)
      } catch (error) {
        const next = this.after(attempt, error)
        if (next === undefined) throw error
        attempt = next
      }
    }
  }

  private attempt(base: URL, before: readonly URL[]): Attempt {
    const last = before.length + 1 >= this.order.length
    return { base, before, patience: last ? this.alone : shortPatience }
  }
}
