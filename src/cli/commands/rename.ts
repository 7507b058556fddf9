/** `rename NAME NEW`: an image and the files that belong to it get another name. */
import { existsSync, renameSync } from 'node:fs'
import { manifestPath } from '../../bootstrap/manifest.ts'
import { requireImageOrHost } from '../../images/discover.ts'
import { renameImage } from '../../images/rename-image.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<name>', 'image to rename')
    .argument('<new>', 'its new name')
    .action((name: string, newName: string) =>
      run(async (context) => {
        requireRoot('renaming images')
        const image = requireImageOrHost(name, context.machinesOverride)
        const path = renameImage(image, newName, context.log, context.machinesOverride)
        const manifest = (tree: string, called: string) =>
          manifestPath(context.stateDirectory, context.machinesDirectory, tree, called)
        const before = manifest(image.path, name)
        if (existsSync(before)) renameSync(before, manifest(path, newName))
        context.result({ name: newName, path }, '')
        return 0
      }),
    )
}
