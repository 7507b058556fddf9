/** `clone NAME NEW`: a second image with the contents of a first. */
import { CleanupStack } from '../../cleanup.ts'
import { cloneImage } from '../../images/clone-image.ts'
import { requireImageOrHost } from '../../images/discover.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<name>', 'image to copy, or .host')
    .argument('<new>', 'name of the copy')
    .option('--read-only', 'mark the copy read-only')
    .action((name: string, newName: string, options: { readonly readOnly?: boolean }) =>
      run(async (context) => {
        requireRoot('cloning images')
        const image = requireImageOrHost(name, context.machinesOverride)
        const cleanup = new CleanupStack()
        try {
          const { path, how } = await cloneImage(
            image,
            {
              directory: context.machinesDirectory,
              name: newName,
              access: options.readOnly === true ? 'read-only' : 'read-write',
              log: context.log,
              signal: context.signal,
            },
            cleanup,
          )
          context.result({ name: newName, path, how }, '')
        } finally {
          await cleanup.releaseAll()
        }
        return 0
      }),
    )
}
