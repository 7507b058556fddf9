/** Mounting overlayfs (Documentation/filesystems/overlayfs.rst). */
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
