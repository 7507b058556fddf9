/** `clean`: removes hidden images, or all of them, and what pulls have kept: parts of downloads, and layers. */
import { cleanImages, type CleanedImage } from '../../images/clean-images.ts'
import { imageSearchPath } from '../../images/discover.ts'
import { dropBlobs } from '../../transfer/oci/blob-store.ts'
import { removeParts } from '../../transfer/pull/part-file.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'
import { formatBytes } from '../size.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .option('-a, --all', 'every image that is not in use')
    .action((options: { readonly all?: boolean }) =>
      run(async (context) => {
        requireRoot('removing images')
        const removed: CleanedImage[] = []
        const what = options.all === true ? 'all' : 'hidden'
        await cleanImages(what, context.machinesOverride, context.log, (image) =>
          removed.push(image),
        )
        for (const directory of imageSearchPath(context.machinesOverride)) {
          for (const path of removeParts(directory, 0))
            context.log({ kind: 'notice', text: `Removed part of a download '${path}'.` })
        }
        const cached = await dropBlobs(context.stateDirectory, 0, context.log)
        if (cached > 0)
          context.log({ kind: 'notice', text: `Dropped cached layers: ${formatBytes(cached)}.` })
        const freed = (bytes: number | undefined, words: string) =>
          bytes === undefined ? '' : ` ${words} exclusive disk space: ${formatBytes(bytes)}.`
        const lines = removed.map(
          ({ name, freedBytes }) => `Removed image '${name}'.${freed(freedBytes, 'Freed')}`,
        )
        const known = removed.filter(({ freedBytes }) => freedBytes !== undefined)
        const total = known.reduce((sum, { freedBytes }) => sum + freedBytes!, 0)
        const sum = freed(known.length === 0 ? undefined : total, 'Total freed')
        lines.push(`Removed ${removed.length} images in total.${sum}`)
        context.result(removed, lines.join('\n'))
        return 0
      }),
    )
}
