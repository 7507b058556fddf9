/** `list-images`, `images`: what is in the machines directories, as machinectl shows it. */
import { hostImage, listImages, type Image } from '../../images/discover.ts'
import { spaceOf } from '../../images/space.ts'
import { measureUsage } from '../../images/usage.ts'
import type { VerbModule } from '../context.ts'
import { formatBytes } from '../size.ts'
import {
  addListOptions,
  checkListOutput,
  legendTable,
  listText,
  type ListOutput,
} from '../list-output.ts'
import { formatTime } from '../time.ts'

interface ImagesOptions extends ListOutput {
  readonly all?: boolean
  readonly usage: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  addListOptions(command)
  command
    .option(
      '-a, --all',
      'hidden images too, and the host as .host, unless --machines-dir says where to look',
    )
    .option('--no-usage', 'do not measure trees: faster')
    .action((options: ImagesOptions) =>
      run(async (context) => {
        checkListOutput(options)
        const all = options.all === true
        const images = [
          // It is one of those of the host, not of a directory that was chosen.
          ...(all && context.machinesOverride === undefined ? [hostImage()] : []),
          ...listImages({ hidden: all, override: context.machinesOverride }),
        ]
        const rows = await Promise.all(images.map((image) => describe(image, options.usage)))
        context.result(
          rows,
          listText(rows, options, () => table(rows, options.legend)),
        )
        return 0
      }),
    )
}

interface ImageRow {
  readonly name: string
  readonly type: string
  readonly ro: boolean
  /** Bytes on disk. */
  readonly usage: number | null
  /** Microseconds since 1970, 0 when unknown, as machinectl has it. */
  readonly created: number
  readonly modified: number
  readonly path: string
}

async function describe(image: Image, measure: boolean): Promise<ImageRow> {
  // Nobody wants to wait until the whole host has been counted.
  const walk = measure && image.path !== '/'
  const usage = spaceOf(image).usageBytes ?? (walk ? await measureUsage(image.path) : null)
  return {
    name: image.name,
    type: image.type,
    ro: image.access === 'read-only',
    usage,
    created: Math.round((image.createdMs ?? 0) * 1000),
    modified: Math.round((image.modifiedMs ?? 0) * 1000),
    path: image.path,
  }
}

function table(rows: readonly ImageRow[], legend: boolean): string {
  const columns = [
    { title: 'NAME' },
    { title: 'TYPE' },
    { title: 'RO' },
    { title: 'USAGE', align: 'right' },
    { title: 'CREATED' },
    { title: 'MODIFIED' },
  ] as const
  const cells = rows.map((row) => [
    row.name,
    row.type,
    row.ro ? 'yes' : 'no',
    row.usage === null ? '' : formatBytes(row.usage),
    formatTime(row.created),
    formatTime(row.modified),
  ])
  return legendTable('images', rows.length, legend, columns, cells)
}
