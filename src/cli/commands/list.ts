/** `list`: the machines that run, as machinectl shows them. */
import { usageError } from '../../errors.ts'
import { readOsRelease } from '../../images/os-release.ts'
import { machineAddresses, networkAddresses } from '../../machines/addresses.ts'
import { listMachines, type MachineRecord } from '../../runtime/registry.ts'
import type { VerbModule } from '../context.ts'
import {
  addListOptions,
  checkListOutput,
  legendTable,
  listText,
  type ListOutput,
} from '../list-output.ts'

interface ListOptions extends ListOutput {
  readonly all?: boolean
  readonly maxAddresses: string
}

export const define: VerbModule['define'] = (command, run) => {
  addListOptions(command)
  command
    .option('-a, --all', 'the host too, as .host')
    .option('--max-addresses <n>', 'show at most this many addresses of each, or all', '1')
    .action((options: ListOptions) =>
      run(async (context) => {
        checkListOutput(options)
        const limit = addressLimit(options.maxAddresses)
        const rows = [
          ...(options.all === true ? [describeHost()] : []),
          ...listMachines().map(describe),
        ]
        context.result(
          rows,
          listText(rows, options, () => table(rows, options.legend, limit)),
        )
        return 0
      }),
    )
}

/** The keys of `machinectl list -o json`. */
interface MachineRow {
  readonly machine: string
  readonly class: string
  readonly service: string | null
  readonly os: string | null
  readonly version: string | null
  /** One a line. */
  readonly addresses: string | null
}

function describe(machine: MachineRecord): MachineRow {
  const addresses = machine.leader === null ? undefined : machineAddresses(machine.leader.pid)
  return {
    machine: machine.name,
    class: machine.class,
    service: machine.service,
    os: machine.os?.id ?? null,
    version: machine.os?.versionId ?? null,
    addresses: oneALine(addresses),
  }
}

function describeHost(): MachineRow {
  const os = readOsRelease('/')
  return {
    machine: '.host',
    class: 'host',
    service: null,
    os: os?.['ID'] ?? null,
    version: os?.['VERSION_ID'] ?? null,
    addresses: oneALine(networkAddresses('self')),
  }
}

function oneALine(addresses: readonly string[] | undefined): string | null {
  return addresses === undefined || addresses.length === 0 ? null : addresses.join('\n')
}

function addressLimit(text: string): number {
  if (text === 'all') return Infinity
  if (!/^\d{1,6}$/.test(text)) throw usageError(`--max-addresses=${text} is no number`)
  return Number(text)
}

/** @param limit 0 leaves the column of addresses out */
export function table(rows: readonly MachineRow[], legend: boolean, limit: number): string {
  const titles = ['MACHINE', 'CLASS', 'SERVICE', 'OS', 'VERSION', 'ADDRESSES']
  const columns = titles.slice(0, limit === 0 ? -1 : undefined).map((title) => ({ title }))
  const cells = rows.flatMap((row) => {
    const [first = '-', ...more] = shortened(row.addresses, limit)
    return [
      [row.machine, row.class, row.service ?? '-', row.os ?? '-', row.version ?? '-', first],
      ...more.map((address) => ['', '', '', '', '', address]),
    ].map((line) => line.slice(0, columns.length))
  })
  return legendTable('machines', rows.length, legend, columns, cells)
}

function shortened(addresses: string | null, limit: number): string[] {
  if (addresses === null || limit === 0) return []
  const all = addresses.split('\n')
  const shown = all.slice(0, limit)
  return all.length > shown.length ? [...shown.slice(0, -1), `${shown.at(-1) as string}…`] : shown
}
