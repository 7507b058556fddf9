/** `image-status [NAME...]`: what an image is, for people; without a name, the place where images live. */
import { NspawnError } from '../../errors.ts'
import { isDisk, requireImageOrHost, type Image } from '../../images/discover.ts'
import { readImageMetadata, type ImageMetadata } from '../../images/metadata.ts'
import { spaceOf, spaceOfPool, type Space } from '../../images/space.ts'
import { measureUsage } from '../../images/usage.ts'
import { defaultSettings } from '../../settings/settings.ts'
import type { VerbModule } from '../context.ts'
import { formatLabels, printable, type LabelledLine } from '../labels.ts'
import { formatBytes } from '../size.ts'
import { formatAge, formatTime } from '../time.ts'

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'images; without any, where images live')
    .option('--no-usage', 'do not measure trees: faster')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((names: string[], options: { readonly usage: boolean }) =>
      run(async (context) => {
        const directory = context.machinesDirectory
        if (names.length === 0) {
          const space = spaceOfPool(directory)
          const lines: LabelledLine[] = [['Path', directory], ...spaceLines(space)]
          context.result({ path: directory, ...space }, formatLabels(lines).join('\n'))
          return 0
        }
        const images = names.map((name) => requireImageOrHost(name, context.machinesOverride))
        const all = await Promise.all(images.map((image) => describe(image, options.usage)))
        context.result(
          all.map(({ image, space, inside }) => ({ ...image, ...space, ...inside })),
          all.map((each) => statusText(each).map(printable).join('\n')).join('\n\n'),
        )
        return 0
      }),
    )
}

interface ImageDescription {
  readonly image: Image
  readonly space: Space
  /** Undefined for disk images that cannot be looked into, or need somebody who knows a passphrase. */
  readonly inside: ImageMetadata | undefined
}

async function describe(image: Image, measure: boolean): Promise<ImageDescription> {
  const space = spaceOf(image)
  // Nobody wants to wait until the whole host has been counted.
  const walk = measure && image.path !== '/' && space.usageBytes === undefined
  return {
    image,
    space: walk ? { ...space, usageBytes: await measureUsage(image.path) } : space,
    inside: isDisk(image.type) ? await insideDisk(image.path) : readImageMetadata(image.path),
  }
}

/** Nothing is asked for, and nothing is written. */
async function insideDisk(path: string): Promise<ImageMetadata | undefined> {
  const { readInside } = await import('../../runtime/inspect-image.ts')
  try {
    return await readInside(path, { ...defaultSettings().image, askPassphrase: false })
  } catch (error) {
    if (error instanceof NspawnError) return undefined
    throw error
  }
}

function statusText({ image, space, inside }: ImageDescription): string[] {
  const lines: (LabelledLine | undefined)[] = [
    ['Type', image.type],
    ['Path', image.path],
    optional('Hostname', inside?.hostname),
    optional('Machine ID', inside?.machineId),
    optional('Deployment', inside?.machineInfo['DEPLOYMENT']),
    optional('OS', inside?.osRelease?.['PRETTY_NAME']),
    ['RO', image.access === 'read-only' ? 'read-only' : 'writable'],
    time('Created', image.createdMs),
    time('Modified', image.modifiedMs),
    ...spaceLines(space),
  ]
  return [image.name, ...formatLabels(lines.filter((line) => line !== undefined))]
}

function optional(label: string, text: string | undefined): LabelledLine | undefined {
  return text === undefined || text === '' ? undefined : [label, text]
}

function time(label: string, ms: number | undefined): LabelledLine | undefined {
  if (ms === undefined) return undefined
  return [label, `${formatTime(ms * 1000)}; ${formatAge(ms * 1000)}`]
}

function spaceLines(space: Space): LabelledLine[] {
  const line = (
    label: string,
    bytes: number | undefined,
    exclusive: number | undefined,
  ): LabelledLine[] => {
    if (bytes === undefined) return []
    const more =
      exclusive === undefined || exclusive === bytes
        ? ''
        : ` (exclusive: ${formatBytes(exclusive)})`
    return [[label, `${formatBytes(bytes)}${more}`]]
  }
  return [
    ...line('Usage', space.usageBytes, space.exclusiveBytes),
    ...line('Limit', space.limitBytes, space.exclusiveLimitBytes),
  ]
}
