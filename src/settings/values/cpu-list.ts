/** Lists of processors: `0-3,7`. */
import { usageError } from '../../errors.ts'
import { parseIntegerBetween } from './number.ts'

/** The kernel's upper bound of NR_CPUS. */
const highest = 8191

/**
 * Processor numbers and ranges separated by commas or blanks, as sorted single numbers.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseCpuList(text: string): readonly number[] {
  const processors = new Set<number>()
  for (const item of text.split(/[\s,]+/)) {
    if (item === '') continue
    const [first = '', last = first, extra] = item.split('-')
    const from = parseIntegerBetween(first, 0, highest)
    const to = parseIntegerBetween(last, 0, highest)
    if (from === undefined || to === undefined || extra !== undefined) {
      throw usageError(`"${item}" is not a processor number or range such as 0-3`)
    }
    if (from > to) throw usageError(`the range of processors "${item}" runs backwards`)
    for (let cpu = from; cpu <= to; cpu++) processors.add(cpu)
  }
  return [...processors].toSorted((a, b) => a - b)
}
