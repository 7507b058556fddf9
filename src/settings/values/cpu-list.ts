/** Lists of processors: `0-3,7`. */
import { usageError } from '../../errors.ts'
import { parseIntegerBetween } from './number.ts'

/** The kernel's upper bound of NR_CPUS. */
const highest = 8191

/** One byte a processor, 1 for those that are in: adding to it costs the same however often it is done. */
export type ProcessorSet = Uint8Array

/**
 * Adds processor numbers and ranges, separated by commas or blanks.
 *
 * @param before undefined for none
 * @returns the very set that was given, where there was one
 * @throws NspawnError (`USAGE`)
 */
export function addProcessors(
  before: ProcessorSet | undefined,
  text: string,
): ProcessorSet | undefined {
  let processors = before
  for (const item of text.split(/[\s,]+/)) {
    if (item === '') continue
    const [first = '', last = first, extra] = item.split('-')
    const from = parseIntegerBetween(first, 0, highest)
    const to = parseIntegerBetween(last, 0, highest)
    if (from === undefined || to === undefined || extra !== undefined) {
      throw usageError(`"${item}" is not a processor number or range such as 0-3`)
    }
    if (from > to) throw usageError(`the range of processors "${item}" runs backwards`)
    processors ??= new Uint8Array(highest + 1)
    processors.fill(1, from, to + 1)
  }
  return processors
}

/** The numbers, in order; undefined where none was said. */
export function processorNumbers(
  processors: ProcessorSet | undefined,
): readonly number[] | undefined {
  if (processors === undefined) return undefined
  return [...processors.keys()].filter((number) => processors[number] === 1)
}
