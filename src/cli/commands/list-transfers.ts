/** `list-transfers`: what is being pulled, imported and exported, as machinectl shows it. */
import { usageError } from '../../errors.ts'
import { listTransfers, type TransferRecord } from '../../transfer/transfers.ts'
import type { VerbModule } from '../context.ts'
import { formatTable } from '../table.ts'

interface ListOptions {
  readonly output: string
  readonly legend: boolean
}

const formats = ['table', 'json', 'json-pretty']

export const define: VerbModule['define'] = (command, run) => {
  command
    .option('-o, --output <format>', 'table, json or json-pretty', 'table')
    .option('--no-legend', 'leave titles and the last line out')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((options: ListOptions) =>
      run(async (context) => {
        if (!formats.includes(options.output)) {
          throw usageError(
            `--output=${options.output} is no format`,
            `there are: ${formats.join(', ')}`,
          )
        }
        const rows = listTransfers().map(describe)
        context.result(
          rows,
          options.output === 'table'
            ? transferTable(rows, options.legend)
            : JSON.stringify(rows, null, options.output === 'json-pretty' ? 2 : undefined),
        )
        return 0
      }),
    )
}

export interface TransferRow {
  readonly id: number
  /** 0 to 100, null until known. */
  readonly percent: number | null
  readonly type: string
  readonly local: string | null
  readonly remote: string
  /** Of the process that does it. */
  readonly pid: number
}

function describe({ id, fraction, type, local, remote, owner }: TransferRecord): TransferRow {
  const percent = fraction === undefined ? null : Math.floor(fraction * 100)
  return { id, percent, type, local: local ?? null, remote, pid: owner.pid }
}

export function transferTable(rows: readonly TransferRow[], legend: boolean): string {
  if (rows.length === 0) return legend ? 'No transfers.' : ''
  const columns = [
    { title: 'ID', align: 'right' },
    { title: 'PERCENT', align: 'right' },
    { title: 'TYPE' },
    { title: 'LOCAL' },
    { title: 'REMOTE' },
  ] as const
  const cells = rows
    .toSorted((a, b) => ((a.local ?? '') < (b.local ?? '') ? -1 : 1))
    .map((row) => [
      String(row.id),
      row.percent === null ? 'n/a' : `${row.percent}%`,
      row.type,
      row.local ?? '-',
      row.remote,
    ])
  const table = formatTable(columns, cells)
  if (!legend) return table.split('\n').slice(1).join('\n')
  return `${table}\n\n${rows.length} transfers listed.`
}
