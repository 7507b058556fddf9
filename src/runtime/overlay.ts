/** Mounting overlayfs (Documentation/filesystems/overlayfs.rst). */
import { mount } from '../sys/mount.ts'

/**
 * @param options as overlayfs takes them; layers best as `/proc/self/fd/N`, which needs no escaping
 * @param path the place to name in errors
 */
export function mountOverlayAt(target: string, options: readonly string[], path = target): void {
  mount({ source: 'overlay', target, fstype: 'overlay', options: options.join(','), path })
}
