/** `clean`: removes hidden images, or all of them, and what pulls have kept: parts of downloads, and layers. */
import { throwIfCanceled } from '../../errors.ts'
import { cleanImages, type CleanedImage } from '../../images/clean-images.ts'
import { imageSearchPath, standardImagePath } from '../../images/discover.ts'
import { dropBlobs } from '../../transfer/oci/blob-store.ts'
import { removeParts } from '../../transfer/pull/part-file.ts'
import { classDirectory, imageClasses } from '../../transfer/pull/image-class.ts'
import type { CliContext, VerbModule } from '../context.ts'
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
        const tell = (image: CleanedImage) => {
          removed.push(image)
          context.line(`Removed image '${image.name}'.${freed(image.freedBytes, 'Freed')}`)
          throwIfCanceled(context.signal, 'cleaning')
        }
        await cleanImages(what, context.machinesOverride, context.log, tell)
        const elsewhere = otherDirectories(context)
        for (const directory of elsewhere) await cleanImages('hidden', directory, context.log, tell)
        for (const directory of [...imageSearchPath(context.machinesOverride), ...elsewhere]) {
          for (const path of removeParts(directory, 0))
            context.log({ kind: 'notice', text: `Removed part of a download '${path}'.` })
        }
        const cached = await dropBlobs(context.stateDirectory, 0, context.log)
        if (cached > 0)
          context.log({ kind: 'notice', text: `Dropped cached layers: ${formatBytes(cached)}.` })
        const known = removed.filter(({ freedBytes }) => freedBytes !== undefined)
        const total = known.reduce((sum, { freedBytes }) => sum + freedBytes!, 0)
        const sum = freed(known.length === 0 ? undefined : total, 'Total freed')
        context.result(removed, `Removed ${removed.length} images in total.${sum}`)
        return 0
      }),
    )
}

function freed(bytes: number | undefined, words: string): string {
  return bytes === undefined ? '' : ` ${words} exclusive disk space: ${formatBytes(bytes)}.`
}

/** Those of the other classes, where images are not ours but for the hidden ones; none beside a chosen directory. */
function otherDirectories({ machinesDirectory, machinesOverride }: CliContext): string[] {
  if (imageSearchPath(machinesOverride) !== standardImagePath) return []
  return imageClasses
    .filter((imageClass) => imageClass !== 'machine')
    .map((imageClass) => classDirectory(imageClass, machinesDirectory))
}
