/** `umount DIRECTORY`: ends what `mount` has begun. */
import { realpathSync } from 'node:fs'
import { usageError } from '../../errors.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<directory>', 'where a disk image is mounted').action((directory: string) =>
    run(async (context) => {
      requireRoot('unmounting disk images')
      const { unmountFromHost } = await import('../../runtime/mount-on-host.ts')
      const place = existing(directory)
      unmountFromHost(place)
      context.result({ place }, '')
      return 0
    }),
  )
}

function existing(directory: string): string {
  try {
    return realpathSync(directory)
  } catch {
    throw usageError(`there is no directory ${directory}`)
  }
}
