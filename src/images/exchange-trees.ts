/** Replacing a tree whose name is in use: there is no moment at which the name stands for nothing. */
import { exchangeNames } from '../sys/exchange.ts'
import { lockImage } from './lock.ts'

/**
 * Lets the new tree and the one that is to be replaced change names. Both must be on one file system.
 *
 * @throws NspawnError; `EBUSY` when the old tree is in use
 */
export function exchangeTrees(fresh: string, old: string): void {
  const lock = lockImage(old, 'exclusive')
  try {
    exchangeNames(fresh, old)
  } finally {
    lock.release()
  }
}
