/** Takes from a tree the times at which it was made. */
import { throwIfCanceled } from '../errors.ts'
import { setTimesAt } from '../sys/at.ts'
import { Turns } from '../turns.ts'
import { walkTree } from './walk-tree.ts'

/**
 * What was changed after `epoch`, in seconds since 1970, becomes as old as that. Other mounts in the tree are not entered.
 *
 * @throws NspawnError `CANCELED`, or an errno name
 */
export async function settleTimes(
  tree: string,
  epoch: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const latest = { seconds: BigInt(epoch), nanoseconds: 0 }
  const turns = new Turns()
  for (const { directory, name, facts } of walkTree(tree)) {
    const { seconds, nanoseconds } = facts.modified
    if (seconds > latest.seconds || (seconds === latest.seconds && nanoseconds > 0))
      setTimesAt(directory, name, latest, latest)
    if (!turns.isOver) continue
    await turns.next()
    throwIfCanceled(signal, 'making the tree')
  }
}
