/** How far an import or export is, told to the user and to those who list transfers. */
import type { LogSink } from '../../log.ts'
import type { Transfer } from '../transfers.ts'

/** Bytes that are done, of a total that may be unknown. */
export type TellProgress = (done: number, total: number | undefined) => void

/** As often as systemd's tools say something. */
const INTERVAL_MS = 200

/** Tells it now and then, however often it is called. */
export function tellProgress(
  text: string,
  toTransfer: Transfer['progress'],
  log: LogSink,
): TellProgress {
  let toldMs = -Infinity
  return (done, total) => {
    const now = performance.now()
    if (now - toldMs < INTERVAL_MS) return
    toldMs = now
    if (total !== undefined && total > 0) toTransfer(Math.min(1, done / total))
    log({ kind: 'progress', text, done, total, unit: 'bytes' })
  }
}
