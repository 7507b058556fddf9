/** `show [NAME...]`: properties of machines, or of the place where images live, one a line. */
import { requireMachine } from '../../machines/find.ts'
import type { RunningMachine } from '../../runtime/registry.ts'
import { usageError } from '../../errors.ts'
import type { VerbModule } from '../context.ts'
import { formatTime } from '../time.ts'

interface ShowOptions {
  readonly property?: readonly string[]
  readonly value?: boolean
  readonly all?: boolean
}

/** What machinectl prints for a number that nobody knows. */
const UNKNOWN = '18446744073709551615'

type Properties = Readonly<Record<string, string>>

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[names...]', 'machines; without any, where images live')
    .option('-p, --property <names>', 'only these, comma separated; repeatable', collect)
    .option('--value', 'only the values')
    .option('-P <name>', 'the same as --value --property=', collect)
    .option('-a, --all', 'empty ones too')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((names: string[], options: ShowOptions & { readonly P?: readonly string[] }) =>
      run(async (context) => {
        const property = [...(options.property ?? []), ...(options.P ?? [])]
        const value = options.value === true || options.P !== undefined
        const all =
          names.length === 0
            ? [poolProperties(context.machinesDirectory)]
            : names.map((name) => machineProperties(requireMachine(name)))
        const shown = all.map((properties) => select(properties, property, options.all === true))
        context.result(
          shown.length === 1 ? shown[0] : shown,
          shown.map((properties) => lines(properties, value)).join('\n\n'),
        )
        return 0
      }),
    )
}

/** An option's values: comma separated, and of all its uses. */
function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(',')]
}

function poolProperties(directory: string): Properties {
  return { PoolPath: directory, PoolUsage: UNKNOWN, PoolLimit: UNKNOWN }
}

function machineProperties(machine: RunningMachine): Properties {
  return {
    Name: machine.name,
    Id: machine.id ?? '',
    Timestamp: formatTime(machine.timestamp),
    TimestampMonotonic: String(machine.timestampMonotonic),
    Service: machine.service,
    Leader: String(machine.leader.pid),
    Supervisor: String(machine.supervisor.pid),
    Class: machine.class,
    RootDirectory: machine.rootDirectory,
    NetworkInterfaces: machine.network.interfaces.join(' '),
    State: machine.state,
  }
}

function select(properties: Properties, wanted: readonly string[], empty: boolean): Properties {
  const unknown = wanted.find((name) => !(name in properties))
  if (unknown !== undefined) {
    throw usageError(
      `there is no property ${unknown}`,
      `there are: ${Object.keys(properties).join(', ')}`,
    )
  }
  const entries = Object.entries(properties).filter(([name, value]) =>
    wanted.length > 0 ? wanted.includes(name) : empty || value !== '',
  )
  return Object.fromEntries(entries)
}

function lines(properties: Properties, value: boolean): string {
  return Object.entries(properties)
    .map(([name, text]) => (value ? text : `${name}=${text}`))
    .join('\n')
}
