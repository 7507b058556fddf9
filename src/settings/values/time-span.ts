/** Time spans as systemd.time(7) writes them: `5min 30s`, `1.5h`, `500ms`. */

const second = 1_000_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour
/** Microseconds a unit; a month is a twelfth of a year of 365.25 days, as in systemd.time(7). */
const units: Readonly<Record<string, number>> = {
  us: 1,
  usec: 1,
  µs: 1,
  μs: 1,
  ms: 1000,
  msec: 1000,
  s: second,
  sec: second,
  second: second,
  seconds: second,
  m: minute,
  min: minute,
  minute: minute,
  minutes: minute,
  h: hour,
  hr: hour,
  hour: hour,
  hours: hour,
  d: day,
  day: day,
  days: day,
  w: 7 * day,
  week: 7 * day,
  weeks: 7 * day,
  M: 30.4375 * day,
  month: 30.4375 * day,
  months: 30.4375 * day,
  y: 365.25 * day,
  year: 365.25 * day,
  years: 365.25 * day,
}
const part = /^\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z\u00b5\u03bc]*)\s*/

/**
 * Microseconds in `text`, or undefined where it is no time span. A number without a unit is counted
 * in `defaultUnit`.
 */
export function parseTimeSpan(text: string, defaultUnit: 's' | 'us'): number | undefined {
  let rest = text
  let total = 0
  do {
    const match = part.exec(rest)
    if (match === null) return undefined
    const [whole, count = '0', unit = ''] = match
    const name = unit === '' ? defaultUnit : unit
    if (!Object.hasOwn(units, name)) return undefined
    total += Number(count) * (units[name] ?? 0)
    if (!Number.isSafeInteger(Math.round(total))) return undefined
    rest = rest.slice(whole.length)
  } while (rest !== '')
  return Math.round(total)
}
