/** Another directory of the tree becomes the root (systemd-nspawn(1), `--pivot-root=`). */
import type { PivotRoot } from '../settings/settings.ts'
import { close, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { attachMount, cloneMount, unmount, MNT_DETACH } from '../sys/mount.ts'
import { descriptorPath, openInRoot } from '../sys/openat2.ts'

/**
 * Puts `newRoot` of the tree mounted at `place` in its stead, and the whole tree below it at `oldRoot`.
 *
 * @param root O_PATH descriptor of the tree's root; closed
 * @returns the same for the new root
 */
export function pivotTree({ newRoot, oldRoot }: PivotRoot, root: number, place: string): number {
  const directory = openInRoot(root, newRoot, O_PATH | O_DIRECTORY)
  const mounted = cloneMount(descriptorPath(directory), 'recursive')
  close(directory)
  if (oldRoot !== undefined) {
    const whole = cloneMount(place, 'recursive')
    const target = openInRoot(mounted, oldRoot, O_PATH | O_DIRECTORY)
    attachMount(whole, descriptorPath(target), oldRoot)
    close(target)
    close(whole)
  }
  close(root)
  unmount(place, MNT_DETACH)
  attachMount(mounted, place)
  return mounted
}
