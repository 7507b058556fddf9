/** Mounting overlayfs (Documentation/filesystems/overlayfs.rst). */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { RootPlan } from '../plan/plan.ts'
import { mount, MS_RDONLY } from '../sys/mount.ts'

/**
 * @param options as overlayfs takes them; layers best as `/proc/self/fd/N`, which needs no escaping
 * @param path the place to name in errors
 */
export function mountOverlayAt(
  target: string,
  options: readonly string[],
  path = target,
  access: 'read-write' | 'read-only' = 'read-write',
): void {
  const flags = access === 'read-only' ? MS_RDONLY : 0
  mount({ source: 'overlay', target, fstype: 'overlay', flags, options: options.join(','), path })
}

/**
 * Lets the upper of a throw-away root be mounted once more. A volatile mount leaves a mark that forbids it, since
 * what was never synced is worth nothing after a crash of the host; a reboot of the container is none (overlayfs.rst,
 * "Volatile mount").
 */
export function admitLayerAgain(root: RootPlan): void {
  if (root.kind !== 'overlay' || root.upper === 'tmpfs' || root.sync === 'keep') return
  rmSync(join(root.upper.workPath, 'work/incompat'), { recursive: true, force: true })
}
