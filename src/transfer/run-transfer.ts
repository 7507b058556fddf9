/** A transfer under way: listed for everybody, ended by whoever wants that, and told by the failure that came first. */
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { registerTransfer, type NewTransfer, type Transfer } from './transfers.ts'

export interface TransferRun extends NewTransfer {
  /** What is done, for the message when it is ended: `pulling URL`. */
  readonly purpose: string
  /** The caller's. */
  readonly caller: AbortSignal | undefined
}

export interface RunningTransfer extends Pick<Transfer, 'progress'> {
  /** Aborted when it shall end, whoever wants that: the caller, somebody with its id, or a part of it that failed. */
  readonly signal: AbortSignal
  /** Ends all that goes on beside, since something failed. Of several failures the first counts. */
  stop(error: unknown): void
  /** What made `error`: what is stopped says only that it was stopped. */
  reason(error: unknown): unknown
}

/**
 * Runs `work` as a transfer that is listed until the stack is released.
 *
 * @throws NspawnError `TRANSFER_CANCELED`, `CANCELED`, what was stopped for, what `work` throws, in this order
 */
export async function runTransfer<T>(
  { purpose, caller, ...listed }: TransferRun,
  cleanup: CleanupStack,
  work: (transfer: RunningTransfer) => Promise<T>,
): Promise<T> {
  const { signal: canceled, progress } = registerTransfer(listed, cleanup)
  const failed = new AbortController()
  const ends = [failed.signal, canceled, ...(caller === undefined ? [] : [caller])]
  const reason = (error: unknown): unknown => {
    if (canceled.aborted) return canceled.reason
    if (caller?.aborted === true)
      return new NspawnError(`${purpose} was canceled`, { code: 'CANCELED' })
    return failed.signal.aborted ? failed.signal.reason : error
  }
  try {
    return await work({
      signal: AbortSignal.any(ends),
      stop: (error) => failed.abort(error),
      progress,
      reason,
    })
  } catch (error) {
    throw reason(error)
  }
}
