/** `dissect IMAGE`: what is in a disk image. */
import type { ImageReport, InspectedPartition } from '../../runtime/inspect-image.ts'
import type { VerbModule } from '../context.ts'
import { addDiskOptions, diskPath, diskSettings, type DiskOptions } from '../disk-options.ts'
import { formatLabels, printable, type LabelledLine } from '../labels.ts'
import { requireRoot } from '../root.ts'
import { formatBytes } from '../size.ts'
import { formatTable } from '../table.ts'

export const define: VerbModule['define'] = (command, run) => {
  addDiskOptions(command.argument('<image>', 'a file, a block device, or the name of an image'))
  command.action((word: string, options: DiskOptions) =>
    run(async (context) => {
      requireRoot('looking into disk images')
      const { inspectDiskImage } = await import('../../runtime/inspect-image.ts')
      const path = diskPath(word, context)
      const report = await inspectDiskImage(path, diskSettings(options), context.log)
      context.result(report, reportText(report))
      return 0
    }),
  )
}

function reportText({
  path,
  table,
  id,
  sizeBytes,
  partitions,
  inside,
  unread,
}: ImageReport): string {
  const lines: (LabelledLine | undefined)[] = [
    ['Path', path],
    ['Size', formatBytes(sizeBytes)],
    ['Table', table],
    id === undefined ? undefined : ['Disk ID', id],
    optional('OS', inside?.osRelease?.['PRETTY_NAME']),
    optional('Hostname', inside?.hostname),
    optional('Machine ID', inside?.machineId),
    optional('Not started', unread),
  ]
  const rows = partitions.map(partitionRow)
  const listed = formatTable(
    columns,
    rows.map((row) => row.map(printable)),
  )
  const told = formatLabels(lines.filter((line) => line !== undefined))
  return `${told.map(printable).join('\n')}\n\n${listed}`
}

const columns = [
  { title: 'NO', align: 'right' },
  { title: 'PARTITION' },
  { title: 'ARCHITECTURE' },
  { title: 'LABEL' },
  { title: 'SIZE', align: 'right' },
  { title: 'CONTENT' },
  { title: 'PROTECTION' },
  { title: 'ACCESS' },
  { title: 'MOUNT' },
] as const

function partitionRow(partition: InspectedPartition): string[] {
  const { number, designator, type, architecture, label, sizeBytes } = partition
  const { content, protection, readOnly, mountPoint } = partition
  return [
    number === 0 ? '-' : String(number),
    designator ?? type ?? '-',
    architecture ?? '-',
    label ?? '-',
    formatBytes(sizeBytes),
    content ?? '-',
    protection ?? '-',
    readOnly ? 'read-only' : 'writable',
    mountPoint ?? '-',
  ]
}

function optional(label: string, text: string | undefined): LabelledLine | undefined {
  return text === undefined || text === '' ? undefined : [label, text]
}
