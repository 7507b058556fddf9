/** `set-limit [NAME] BYTES`: how much space an image may take, or all of them together. */
import { requireImageOrHost } from '../../images/discover.ts'
import { limitImage, limitPool } from '../../images/space.ts'
import type { VerbModule } from '../context.ts'
import { sizeOrNone } from '../option-values.ts'
import { requireRoot } from '../root.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<name>', 'image to limit; left out, all images together')
    .argument('[bytes]', 'with K, M, G, T, P or E; - for no limit')
    .action((first: string, second: string | undefined) =>
      run(async (context) => {
        requireRoot('limiting images')
        const limit = sizeOrNone(second ?? first)
        if (second === undefined) limitPool(context.machinesDirectory, limit)
        else limitImage(requireImageOrHost(first, context.machinesOverride), limit)
        context.result({ limitBytes: limit ?? null }, '')
        return 0
      }),
    )
}
