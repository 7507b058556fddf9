/** `list-transfers`: what is being pulled, imported and exported, as machinectl shows it. */
import { listTransfers, type TransferRecord } from '../../transfer/transfers.ts'
import type { VerbModule } from '../context.ts'
import {
  addListOptions,
  checkListOutput,
  legendTable,
  listText,
  type ListOutput,
} from '../list-output.ts'

export const define: VerbModule['define'] = (command, run) => {
  addListOptions(command)
  command.action((options: ListOutput) =>
    run(async (context) => {
      checkListOutput(options)
      const rows = listTransfers().map(describe)
      context.result(
        rows,
        listText(rows, options, () => transferTable(rows, options.legend)),
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
  return legendTable('transfers', rows.length, legend, columns, cells)
}
