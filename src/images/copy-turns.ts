/** Copying goes on a little at a time, so that signals, progress and threads have their turn. */
import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfCanceled } from '../errors.ts'
import { Turns } from '../turns.ts'

export interface CopyOptions {
  /** Ends the copy; what was copied by then is left to the caller. */
  readonly signal?: AbortSignal | undefined
  /** Called now and then with what has been copied. */
  readonly progress?: ((copied: CopiedAmount) => void) | undefined
}

export interface CopiedAmount {
  readonly inodes: number
  readonly bytes: number
}

/** `idle`: there is nothing to do at the moment. */
export type Pause = 'idle' | undefined

/**
 * Does `work`, and `gather` whenever others have had their turn.
 *
 * @param copied what is done up to now, for the progress
 * @throws NspawnError `CANCELED`, what both of them throw
 */
export async function inTurns(
  work: Generator<Pause>,
  copied: CopiedAmount,
  options: CopyOptions,
  source: string,
  gather?: () => Generator<undefined>,
): Promise<void> {
  const turns = new Turns()
  for (const pause of work) {
    const isDue = turns.isOver
    if (!isDue && pause === undefined) continue
    if (isDue) {
      options.progress?.({ ...copied })
      await turns.next()
    }
    if (pause === 'idle') await sleep(1)
    if (gather !== undefined) await inTurns(gather(), copied, options, source)
    throwIfCanceled(options.signal, `copying ${source}`)
  }
}
