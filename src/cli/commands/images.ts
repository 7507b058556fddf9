/** `images`: what is in the machines directories, as machinectl's list-images shows it. */
import { usageError } from '../../errors.ts'
import { listImages, type Image } from '../../images/discover.ts'
import { measureUsage } from '../../images/usage.ts'
import type { VerbModule } from '../context.ts'
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
    .option('-a, --all', 'hidden images too')
    .option('-o, --output <format>', 'table, json or json-pretty', 'table')
    .option('--no-legend', 'leave titles and the last line out')
    .option('--no-usage', 'do not measure trees: faster')
    .action((options: ImagesOptions) =>
      run(async (context) => {
        if (!formats.includes(options.output)) {
          throw usageError(
            `--output=${options.output} is no format`,
            `there are: ${formats.join(', ')}`,
          )
        }
        const images = listImages({
          hidden: options.all === true,
          override: context.machinesOverride,
        })
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
  const usage = image.usageBytes ?? (measure ? await measureUsage(image.path) : null)
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
    { title: 'PATH' },
  ] as const
  const cells = rows.map((row) => [
    row.name,
    row.type,
    row.ro ? 'yes' : 'no',
    row.usage === null ? '' : formatBytes(row.usage),
    formatTime(row.created),
    formatTime(row.modified),
    row.path,
  ])
  if (!legend) return formatTable(columns, cells).split('\n').slice(1).join('\n')
  return `${formatTable(columns, cells)}\n\n${rows.length} ${rows.length === 1 ? 'image' : 'images'} listed.`
}

/** Bytes as systemd writes them: base 1024, one decimal, a letter. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'K', 'M', 'G', 'T', 'P']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return unit === 0 ? `${bytes}B` : `${value.toFixed(1)}${units[unit]}`
}
