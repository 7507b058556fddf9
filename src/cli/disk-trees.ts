/**
 * Trees in disk images, for verbs that put throw-away layers over trees: `build` and `test`. They are mounted
 * read-only where nobody else sees them, and go away with the last process that works in them.
 */
import { mkdirSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { findImage, isDisk } from '../images/discover.ts'
import { lockImage } from '../images/lock.ts'
import { runtimeDirectory } from '../paths.ts'
import { ensureOwnMounts } from '../runtime/start-anew.ts'
import { defaultSettings } from '../settings/settings.ts'
import { mount, MS_NODEV, MS_NOSUID } from '../sys/mount.ts'
import type { CliContext } from './context.ts'
import { requireRoot } from './root.ts'

/**
 * Mounts those of `names` that are disk images, by their names or paths with a slash. The program is started anew for
 * that, so call it before anything is done.
 *
 * @returns the directories of their trees by name; names of trees are not in it
 * @throws NspawnError as `mountOnHost()`
 */
export async function mountDiskTrees(
  names: readonly string[],
  context: CliContext,
): Promise<ReadonlyMap<string, string>> {
  const disks = new Map(
    names.flatMap((name) => {
      const path = diskNamed(name, context)
      return path === undefined ? [] : [[name, path] as const]
    }),
  )
  if (disks.size === 0) return disks
  requireRoot('working in disk images')
  ensureOwnMounts()
  const { mountOnHost } = await import('../runtime/mount-on-host.ts')
  const places = join(runtimeDirectory(), 'trees')
  mkdirSync(places, { recursive: true, mode: 0o755 })
  mount({ source: 'tmpfs', target: places, fstype: 'tmpfs', flags: MS_NOSUID | MS_NODEV })
  const trees = new Map<string, string>()
  for (const [name, path] of disks) {
    const place = join(places, `${trees.size}-${basename(path)}`)
    mkdirSync(place)
    const settings = defaultSettings().image
    await mountOnHost({ path, place, settings, access: 'read-only' }, context.log)
    // Released by the end of this process.
    lockImage(path, 'shared')
    trees.set(name, place)
  }
  return trees
}

function diskNamed(name: string, { machinesOverride }: CliContext): string | undefined {
  if (name.includes('/')) {
    const found = statSync(name, { throwIfNoEntry: false })
    return found?.isFile() === true || found?.isBlockDevice() === true ? resolve(name) : undefined
  }
  const image = findImage(name, machinesOverride)
  return image !== undefined && isDisk(image.type) ? image.path : undefined
}
