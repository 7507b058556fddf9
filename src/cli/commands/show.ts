/** `show [NAME...]`: properties of machines, or of the place where images live, one a line. */
import { requireMachine } from '../../machines/find.ts'
import type { RunningMachine } from '../../runtime/registry.ts'
import type { VerbModule } from '../context.ts'
import {
  addPropertyOptions,
  poolProperties,
  showProperties,
  type Properties,
  type PropertyOptions,
} from '../properties.ts'
import { formatTime } from '../time.ts'

export const define: VerbModule['define'] = (command, run) => {
  addPropertyOptions(
    command.argument('[names...]', 'machines; without any, where images live'),
  ).action((names: string[], options: PropertyOptions) =>
    run(async (context) => {
      const all =
        names.length === 0
          ? [poolProperties(context.machinesDirectory)]
          : names.map((name) => machineProperties(requireMachine(name)))
      showProperties(context, all, options)
      return 0
    }),
  )
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
