/** Which part of a spec has failed, by what rpmbuild says at its end. */

const words = ['%prep', '%generate_buildrequires', '%conf', '%build', '%install', '%check'] as const

export type Stage = (typeof words)[number]

/**
 * The part that has failed; `undefined` where rpmbuild itself has found a fault.
 *
 * @param lines the last ones of its output
 */
export function failedStage(lines: readonly string[]): Stage | undefined {
  for (const line of lines.toReversed()) {
    const said = /Bad exit status from \S+ \((%\w+)\)/.exec(line)?.[1]
    const stage = words.find((word) => word === said)
    if (stage !== undefined) return stage
  }
  return undefined
}
