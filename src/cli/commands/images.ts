/** `list-images`, `images`: what is in the machines directories, as machinectl shows it. */
import { usageError } from '../../errors.ts'
import { hostImage, listImages, type Image } from '../../images/discover.ts'
import { spaceOf } from '../../images/space.ts'
import { measureUsage } from '../../images/usage.ts'
import type { VerbModule } from '../context.ts'
import { formatBytes } from '../size.ts'
import { formatTable } from '../table.ts'
import { formatTime } from '../time.ts'

interface ImagesOptions {
  readonly all?: boolean
  readonly output: string
  readonly legend: boolean
  readonly usage: boolean
}

const formats = ['table', 'json', 'json-pretty']

export const define: VerbModule['define'] = (command, run) => {
  command
    .option('-a, --all', 'hidden images too, and the host as .host')
    .option('-o, --output <format>', 'table, json or json-pretty', 'table')
    .option('--no-legend', 'leave titles and the last line out')
    .option('--no-usage', 'do not measure trees: faster')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((options: ImagesOptions) =>
      run(async (context) => {
        if (!formats.includes(options.output)) {
          throw usageError(
            `--output=${options.output} is no format`,
            `there are: ${formats.join(', ')}`,
          )
        }
        const all = options.all === true
        const images = [
          ...(all ? [hostImage()] : []),
          ...listImages({ hidden: all, override: context.machinesOverride }),
        ]
        const rows = await Promise.all(images.map((image) => describe(image, options.usage)))
        context.result(
          rows,
          options.output === 'table' ? table(rows, options.legend) : json(rows, options.output),
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

function json(rows: readonly ImageRow[], format: string): string {
  return JSON.stringify(rows, null, format === 'json-pretty' ? 2 : undefined)
}

function table(rows: readonly ImageRow[], legend: boolean): string {
  if (rows.length === 0) return legend ? 'No images.' : ''
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
  if (!legend) return formatTable(columns, cells).split('\n').slice(1).join('\n')
  return `${formatTable(columns, cells)}\n\n${rows.length} images listed.`
}
