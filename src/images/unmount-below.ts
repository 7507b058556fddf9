/** What a run that was killed has left mounted in a directory of ours has to go before the directory can. */
import { MNT_DETACH, unmount } from '../sys/mount.ts'
import { mountsBelow } from './remove-tree.ts'

/** Takes away what is mounted at and below `path`; a loop device that nobody uses any more goes with it. */
export function unmountBelow(path: string): void {
  for (const point of mountsBelow(path).toReversed()) unmount(point, MNT_DETACH)
}
