/** `show-image [NAME...]`: properties of images, or of the place where they live, one a line. */
import { requireImageOrHost, type Image } from '../../images/discover.ts'
import { spaceOf } from '../../images/space.ts'
import type { VerbModule } from '../context.ts'
import {
  addPropertyOptions,
  formatNumber,
  poolProperties,
  showProperties,
  type Properties,
  type PropertyOptions,
} from '../properties.ts'
import { formatTime } from '../time.ts'

export const define: VerbModule['define'] = (command, run) => {
  addPropertyOptions(
    command.argument('[names...]', 'images; without any, where images live'),
  ).action((names: string[], options: PropertyOptions) =>
    run(async (context) => {
      const all =
        names.length === 0
          ? [poolProperties(context.machinesDirectory)]
          : names.map((name) => imageProperties(requireImageOrHost(name, context.machinesOverride)))
      showProperties(context, all, options)
      return 0
    }),
  )
}

function imageProperties(image: Image): Properties {
  const space = spaceOf(image)
  const time = (ms: number | undefined) => (ms === undefined ? '' : formatTime(ms * 1000))
  return {
    Name: image.name,
    Path: image.path,
    Type: image.type,
    ReadOnly: image.access === 'read-only' ? 'yes' : 'no',
    CreationTimestamp: time(image.createdMs),
    ModificationTimestamp: time(image.modifiedMs),
    Usage: formatNumber(space.usageBytes),
    Limit: formatNumber(space.limitBytes),
    UsageExclusive: formatNumber(space.exclusiveBytes),
    LimitExclusive: formatNumber(space.exclusiveLimitBytes),
  }
}
