/** `status NAME...`: what a machine is and does, for people. */
import { machineAddresses } from '../../machines/addresses.ts'
import { requireMachine } from '../../machines/find.ts'
import type { RunningMachine } from '../../runtime/registry.ts'
import { machineProcesses, processName, type MachineProcess } from '../../machines/processes.ts'
import { usageError } from '../../errors.ts'
import { recentConsole } from '../../machines/start.ts'
import type { VerbModule } from '../context.ts'
import { formatLabels, labelIndent, printable, type LabelledLine } from '../labels.ts'
import { formatAge, formatTime } from '../time.ts'

const DEFAULT_COLUMNS = 80

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('<names...>', 'machines')
    .option('-l, --full', 'do not cut long command lines')
    .option('-n, --lines <n>', 'show this many lines of the console of a started machine', '10')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((names: string[], options: { readonly full?: boolean; readonly lines: string }) =>
      run(async (context) => {
        if (!/^\d{1,6}$/.test(options.lines))
          throw usageError(`--lines=${options.lines} is no number`)
        const columns =
          options.full === true || !process.stdout.isTTY
            ? Infinity
            : Math.max(DEFAULT_COLUMNS, process.stdout.columns)
        const all = names.map((name) => {
          const machine = requireMachine(name)
          return {
            machine,
            addresses: machineAddresses(machine.leader.pid) ?? [],
            processes: machineProcesses(machine),
            console: recentConsole(machine, context.stateDirectory, Number(options.lines)),
          }
        })
        context.result(
          all.map(({ machine, processes, ...rest }) => ({
            ...machine,
            confinement: undefined,
            processes: processes ?? null,
            ...rest,
          })),
          all
            .map(({ machine, addresses, processes, console }) =>
              [
                ...statusText(machine, addresses, processes, columns),
                ...(console === undefined || console.length === 0 ? [] : ['', ...console]),
              ]
                .map(printable)
                .join('\n'),
            )
            .join('\n\n'),
        )
        return 0
      }),
    )
}

function statusText(
  machine: RunningMachine,
  addresses: readonly string[],
  processes: readonly MachineProcess[] | undefined,
  columns: number,
): string[] {
  const name = processName(machine.leader.pid)
  const lines: LabelledLine[] = [
    ['Since', `${formatTime(machine.timestamp)}; ${formatAge(machine.timestamp)}`],
    ['State', machine.state],
    ['Leader', name === undefined ? `${machine.leader.pid}` : `${machine.leader.pid} (${name})`],
    ['Supervisor', String(machine.supervisor.pid)],
    ['Service', `${machine.service}; class ${machine.class}`],
    ['Root', machine.rootDirectory],
    ...addresses.map((text, i): LabelledLine => [i === 0 ? 'Address' : '', text]),
  ]
  if (machine.os?.prettyName != null) lines.push(['OS', machine.os.prettyName])
  if (machine.users !== null && machine.users.base !== 0) {
    lines.push(['UID Shift', String(machine.users.base)])
  }
  lines.push(['Processes', processes === undefined ? 'unknown' : String(processes.length)])
  const head = machine.id === null ? machine.name : `${machine.name}(${machine.id})`
  return [head, ...formatLabels(lines), ...processTree(processes ?? [], columns)]
}

function processTree(processes: readonly MachineProcess[], columns: number): string[] {
  const width = Math.max(0, ...processes.map(({ pid }) => String(pid).length))
  return processes.map(({ pid, commandLine }, i) => {
    const branch = i === processes.length - 1 ? '└─' : '├─'
    const line = `${labelIndent}${branch}${String(pid).padStart(width)} ${commandLine}`
    return line.length <= columns ? line : `${line.slice(0, columns - 1)}…`
  })
}
