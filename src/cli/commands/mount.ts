/** `mount IMAGE DIRECTORY`: a disk image, mounted as a container would have it. */
import { realpathSync, statSync } from 'node:fs'
import { usageError } from '../../errors.ts'
import type { VerbModule } from '../context.ts'
import { addDiskOptions, diskPath, diskSettings, type DiskOptions } from '../disk-options.ts'
import { requireRoot } from '../root.ts'

interface MountOptions extends DiskOptions {
  readonly readWrite?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<image>', 'a file, a block device, or the name of an image')
    .argument('<directory>', 'where to; it must be there')
    .option('-w, --read-write', 'let the image be written to')
  addDiskOptions(command)
  command.action((word: string, directory: string, options: MountOptions) =>
    run(async (context) => {
      requireRoot('mounting disk images')
      const settings = diskSettings(options)
      const path = diskPath(word, context)
      if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true)
        throw usageError(`there is no directory ${directory}`, 'make it first')
      const { mountOnHost } = await import('../../runtime/mount-on-host.ts')
      const place = realpathSync(directory)
      const access = options.readWrite === true ? 'read-write' : 'read-only'
      await mountOnHost({ path, place, settings, access }, context.log)
      context.result({ path, place, access }, '')
      return 0
    }),
  )
}
