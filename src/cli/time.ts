/** Points in time as systemd's tools write them. */

const SECOND = 1
const MINUTE = 60
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const WEEK = 7 * DAY
const MONTH = 2629800
const YEAR = 31557600

/** `Sun 2026-11-22 03:25:52 UTC`, or a dash for a time nobody knows. */
export function formatTime(microseconds: number): string {
  if (microseconds === 0) return '-'
  const date = new Date(microseconds / 1000)
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][date.getUTCDay()]!
  return `${day} ${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `3min 2s ago`: the largest unit that fits, with the next one while the first is small. */
export function formatAge(microseconds: number, nowMs = Date.now()): string {
  const seconds = Math.max(0, Math.floor(nowMs / 1000 - microseconds / 1e6))
  const count = (unit: number, of = seconds) => Math.floor(of / unit)
  const words = (n: number, word: string) => `${n} ${word}${n === 1 ? '' : 's'}`
  if (seconds >= YEAR) {
    return `${words(count(YEAR), 'year')} ${words(count(MONTH, seconds % YEAR), 'month')} ago`
  }
  if (seconds >= MONTH) {
    return `${words(count(MONTH), 'month')} ${words(count(DAY, seconds % MONTH), 'day')} ago`
  }
  if (seconds >= WEEK) {
    return `${words(count(WEEK), 'week')} ${words(count(DAY, seconds % WEEK), 'day')} ago`
  }
  if (seconds >= 2 * DAY) return `${words(count(DAY), 'day')} ago`
  if (seconds >= 25 * HOUR) return `${words(count(DAY), 'day')} ${count(HOUR, seconds % DAY)}h ago`
  if (seconds >= 6 * HOUR) return `${count(HOUR)}h ago`
  if (seconds >= HOUR) return `${count(HOUR)}h ${count(MINUTE, seconds % HOUR)}min ago`
  if (seconds >= 5 * MINUTE) return `${count(MINUTE)}min ago`
  if (seconds >= MINUTE) return `${count(MINUTE)}min ${seconds % MINUTE}s ago`
  return seconds >= SECOND ? `${seconds}s ago` : 'now'
}
