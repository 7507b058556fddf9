/** `KEY=value` lines, as machinectl's show verbs print them, and the options that choose among them. */
import type { Command } from 'commander'
import { usageError } from '../errors.ts'
import { spaceOfPool } from '../images/space.ts'
import type { CliContext } from './context.ts'

export interface PropertyOptions {
  readonly property?: readonly string[]
  readonly P?: readonly string[]
  readonly value?: boolean
  readonly all?: boolean
}

export type Properties = Readonly<Record<string, string>>

/** What machinectl prints for a number that nobody knows. */
const UNKNOWN = '18446744073709551615'

export function formatNumber(value: number | undefined): string {
  return value === undefined ? UNKNOWN : String(value)
}

export function addPropertyOptions(command: Command): Command {
  return command
    .option('-p, --property <names>', 'only these, comma separated; repeatable', collect)
    .option('--value', 'only the values')
    .option('-P <name>', 'the same as --value --property=', collect)
    .option('-a, --all', 'empty ones too')
    .option('--no-pager', 'changes nothing, there is no pager')
}

/** An option's values: comma separated, and of all its uses. */
function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(',')]
}

/** Of the directory where images live. */
export function poolProperties(directory: string): Properties {
  const { usageBytes, limitBytes } = spaceOfPool(directory)
  return {
    PoolPath: directory,
    PoolUsage: formatNumber(usageBytes),
    PoolLimit: formatNumber(limitBytes),
  }
}

/** Hands back the properties that were asked for, of one thing or several. */
export function showProperties(
  context: CliContext,
  all: readonly Properties[],
  options: PropertyOptions,
): void {
  const wanted = [...(options.property ?? []), ...(options.P ?? [])]
  const value = options.value === true || options.P !== undefined
  const shown = all.map((properties) => select(properties, wanted, options.all === true))
  context.result(
    shown.length === 1 ? shown[0] : shown,
    shown.map((properties) => lines(properties, value)).join('\n\n'),
  )
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
