/** How verbs that list things print them: a table with a legend, or machinectl's JSON. */
import type { Command } from 'commander'
import { usageError } from '../errors.ts'
import { formatTable, type Column } from './table.ts'

export interface ListOutput {
  readonly output: string
  readonly legend: boolean
}

const formats = ['table', 'json', 'json-pretty']

export function addListOptions(command: Command): void {
  command
    .option('-o, --output <format>', 'table, json or json-pretty', 'table')
    .option('--no-legend', 'leave titles and the last line out')
    .option('--no-pager', 'changes nothing, there is no pager')
}

/** @throws NspawnError `USAGE`; to be asked before anything is looked up */
export function checkListOutput({ output }: ListOutput): void {
  if (formats.includes(output)) return
  throw usageError(`--output=${output} is no format`, `there are: ${formats.join(', ')}`)
}

/** @param table called for people, see `legendTable()` */
export function listText(
  rows: readonly object[],
  { output }: ListOutput,
  table: () => string,
): string {
  if (output === 'table') return table()
  return JSON.stringify(rows, null, output === 'json-pretty' ? 2 : undefined)
}

/**
 * A table with how many things there are below it; without a legend the bare lines.
 *
 * @param things what they are: `images`
 */
export function legendTable(
  things: string,
  count: number,
  legend: boolean,
  columns: readonly Column[],
  cells: readonly (readonly string[])[],
): string {
  if (count === 0) return legend ? `No ${things}.` : ''
  const table = formatTable(columns, cells)
  if (!legend) return table.split('\n').slice(1).join('\n')
  return `${table}\n\n${count} ${things} listed.`
}
