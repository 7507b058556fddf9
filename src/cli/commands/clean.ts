/**
 * `clean`: removes hidden images, or all of them, what pulls have kept (parts of downloads, layers), left-overs, old
 * logs, and what builds have kept for too long.
 */
import { removeStaleBuilds, staleBuilds } from '../../build/build-place.ts'
import { cleanBuilds, type BuildCleaning, type DroppedThing } from '../../build/clean-builds.ts'
import { throwIfCanceled } from '../../errors.ts'
import { dropOldLogs, oldLogs } from '../../bootstrap/old-logs.ts'
import { cleanImages, imagesToClean, type CleanedImage } from '../../images/clean-images.ts'
import { imageSearchPath, standardImagePath } from '../../images/discover.ts'
import { staleHiddenTrees } from '../../images/hidden-tree.ts'
import { dropBlobs, keptBlobBytes } from '../../transfer/oci/blob-store.ts'
import { idleParts, removeParts } from '../../transfer/pull/part-file.ts'
import { classDirectory, imageClasses } from '../../transfer/pull/image-class.ts'
import type { CliContext, VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'
import { formatBytes } from '../size.ts'
import { sizeInBytes, spanMs } from '../option-values.ts'

interface CleanOptions {
  readonly all?: boolean
  readonly dryRun?: boolean
  readonly olderThan?: string
  readonly maxSize?: string
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .option('-a, --all', 'every image that is not in use')
    .option('-n, --dry-run', 'say what would be removed, with its size, and remove nothing')
    .option('--older-than <span>', 'of what builds keep, what was not used for so long: 0, 12h, 7d')
    .option('--max-size <size>', 'what layers, history and caches of builds may take, each: 5G')
    .action((options: CleanOptions) =>
      run(async (context) => {
        const budget = {
          ageMs: ageMs(options.olderThan),
          totalBytes: sizeInBytes(options.maxSize, '--max-size'),
        }
        requireRoot('removing images')
        if (options.dryRun === true) return preview(options, budget, context)
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
        for (const { path } of dropOldLogs(context.stateDirectory))
          context.log({ kind: 'notice', text: `Removed old log '${path}'.` })
        const { stateDirectory, log } = context
        const { removeStaleNetworks } = await import('../../runtime/network/stale.ts')
        removeStaleNetworks()
        for (const path of removeStaleBuilds(stateDirectory, log))
          context.log({ kind: 'notice', text: `Removed left-over '${path}'.` })
        for (const text of describeDropped(await cleanBuilds(stateDirectory, budget, log)))
          context.log({ kind: 'notice', text: `Dropped ${text}.` })
        const known = removed.filter(({ freedBytes }) => freedBytes !== undefined)
        const total = known.reduce((sum, { freedBytes }) => sum + freedBytes!, 0)
        const sum = freed(known.length === 0 ? undefined : total, 'Total freed')
        context.result(removed, `Removed ${removed.length} images in total.${sum}`)
        return 0
      }),
    )
}

/** Says what would go; of a copy on btrfs without quota all that is in it counts, shared or not. */
async function preview(
  { all }: CleanOptions,
  budget: BuildCleaning,
  context: CliContext,
): Promise<number> {
  const { machinesOverride: override, stateDirectory } = context
  const elsewhere = otherDirectories(context)
  const images = await imagesToClean(all === true ? 'all' : 'hidden', override)
  for (const directory of elsewhere) images.push(...(await imagesToClean('hidden', directory)))
  const size = (bytes: number | undefined) =>
    bytes === undefined ? '' : ` (${formatBytes(bytes)})`
  for (const { name, freedBytes } of images)
    context.line(`Would remove image '${name}'${size(freedBytes)}.`)
  const notice = (text: string) => context.log({ kind: 'notice', text })
  for (const directory of [...imageSearchPath(override), ...elsewhere]) {
    for (const path of staleHiddenTrees(directory)) notice(`Would remove left-over '${path}'.`)
    for (const { path, bytes } of idleParts(directory))
      notice(`Would remove part of a download '${path}'${size(bytes)}.`)
  }
  for (const path of staleBuilds(stateDirectory)) notice(`Would remove left-over '${path}'.`)
  const cached = await keptBlobBytes(stateDirectory)
  if (cached > 0) notice(`Would drop cached layers${size(cached)}.`)
  for (const { path, bytes } of oldLogs(stateDirectory))
    notice(`Would remove old log '${path}'${size(bytes)}.`)
  for (const text of describeDropped(
    await cleanBuilds(stateDirectory, budget, context.log, 'tell'),
  ))
    notice(`Would drop ${text}.`)
  const total = images.reduce((sum, { freedBytes = 0 }) => sum + freedBytes, 0)
  context.result(images, `Would remove ${images.length} images in total${size(total)}.`)
  return 0
}

/** Layers and builds one by one, files of caches together. */
function describeDropped(things: readonly DroppedThing[]): string[] {
  const files = things.filter(({ kind }) => kind === 'cache')
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0)
  return [
    ...things
      .filter(({ kind }) => kind !== 'cache')
      .map((one) => `${nouns[one.kind]} ${one.name} (${formatBytes(one.bytes)})`),
    ...(files.length === 0
      ? []
      : [`cached files of builds: ${files.length} (${formatBytes(bytes)})`]),
  ]
}

const nouns = { layer: 'layer', build: 'log and record of build', cache: 'file' } as const

function ageMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return text === '0' ? 0 : spanMs(text)
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
