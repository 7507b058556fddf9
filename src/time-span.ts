/** Spans of time as people write them: on the command line, and in suites of tests. */

const units: Readonly<Record<string, number>> = {
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/**
 * `90` (seconds), `30min`, `2h`, `1h 30min`.
 *
 * @returns milliseconds, more than 0; undefined when it is no span
 */
export function parseSpan(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s*(s|min|h|d)?(?=\s|\d|$)\s*/g)]
  const total = parts.reduce(
    (sum, [, number, unit = 's']) => sum + Number(number) * (units[unit] ?? 0),
    0,
  )
  return parts.map(([part]) => part).join('') === text && total > 0 ? total : undefined
}
