/** Which of many answers a system call gets: a search over ranges of numbers with the same answer. */
import type { Assembler, Label } from './bpf.ts'
import { systemCalls, X32_BIT, type Abi } from './abi.ts'

export interface Range<Verdict> {
  /** First number; the range ends where the next one begins. */
  readonly from: number
  readonly verdict: Verdict
}

/**
 * The numbers of an ABI as ranges, from 0 upwards. Equal verdicts are one object or equal numbers, so that ranges can
 * merge.
 *
 * @param unknown of numbers that no call has; told the number of the call before, -1 when there is none
 */
export function rangesOf<Verdict>(
  abi: Abi,
  verdictOf: (name: string) => Verdict,
  unknown: (after: number) => Verdict,
): readonly Range<Verdict>[] {
  const base = abi === 'x32' ? X32_BIT : 0
  const ranges: Range<Verdict>[] = [{ from: 0, verdict: unknown(-1) }]
  const append = (from: number, verdict: Verdict): void => {
    const last = ranges.at(-1) as Range<Verdict>
    if (last.verdict === verdict) return
    if (last.from === from) ranges.pop()
    ranges.push({ from, verdict })
  }
  let next = 0
  for (const [name, number] of systemCalls(abi)) {
    if (number > next) append(base + next, unknown(next - 1))
    append(base + number, verdictOf(name))
    next = number + 1
  }
  append(base + next, unknown(next - 1))
  return ranges
}

/** A balanced search over the ranges: about eight comparisons to any verdict. The number has been loaded. */
export function emitSearch<Verdict>(
  assembler: Assembler,
  ranges: readonly Range<Verdict>[],
  emitVerdict: (verdict: Verdict) => Label,
): Label {
  const [only] = ranges
  if (ranges.length === 1) return emitVerdict((only as Range<Verdict>).verdict)
  const middle = ranges.length >> 1
  const above = emitSearch(assembler, ranges.slice(middle), emitVerdict)
  const below = emitSearch(assembler, ranges.slice(0, middle), emitVerdict)
  const from = (ranges[middle] as Range<Verdict>).from
  return assembler.branch('greater-or-equal', from, above, below)
}
