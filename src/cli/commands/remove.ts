/** `remove NAME...` */
import { rmSync } from 'node:fs'
import { manifestPath } from '../../bootstrap/manifest.ts'
import { requireImageOrHost } from '../../images/discover.ts'
import { removeImage } from '../../images/remove-image.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command.argument('<names...>', 'images to remove').action((names: string[]) =>
    run(async (context) => {
      requireRoot('removing images')
      // A name that is wrong is told before the first image is gone.
      const images = names.map((name) => requireImageOrHost(name, context.machinesOverride))
      for (const image of images) {
        await removeImage(image, context.log)
        rmSync(
          manifestPath(context.stateDirectory, context.machinesDirectory, image.path, image.name),
          { force: true },
        )
      }
      context.result(names, names.map((name) => `removed ${name}`).join('\n'))
      return 0
    }),
  )
}
