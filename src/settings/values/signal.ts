/** Signals by name or number, as Linux numbers them on x86 and arm (signal(7)). */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import { parseIntegerBetween } from './number.ts'

/** Position is the number less one. */
const names = [
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
]
/** What glibc leaves to programs: the kernel's 32 and 33 are its own. */
const realTimeFirst = 34
const realTimeLast = 64

/** Every name that is accepted, in the order of the numbers; 32 and 33 have none. */
export function signalNames(): readonly string[] {
  const realTime = Array.from({ length: realTimeLast - realTimeFirst + 1 }, (_, n) => `RTMIN+${n}`)
  return [...names, '32', '33', ...realTime]
}

/**
 * The number of a signal: `TERM`, `SIGTERM`, `15`, `RTMIN`, `RTMIN+3`, `RTMAX-2`.
 *
 * @throws NspawnError (`USAGE`) for anything else
 */
export function parseSignal(text: string): number {
  const number = parseIntegerBetween(text, 1, realTimeLast)
  if (number !== undefined) return number
  const name = text.startsWith('SIG') ? text.slice(3) : text
  const index = names.indexOf(name)
  if (index >= 0) return index + 1
  const [, end, offset] = /^RT(MIN(?=$|\+)|MAX(?=$|-))(?:[+-](\d{1,2}))?$/.exec(name) ?? []
  if (end !== undefined) {
    const distance = Number(offset ?? 0)
    const signal = end === 'MIN' ? realTimeFirst + distance : realTimeLast - distance
    if (signal >= realTimeFirst && signal <= realTimeLast) return signal
  }
  const guess = nearest(name, names)
  throw usageError(
    `there is no signal "${text}"`,
    guess === undefined ? '--kill-signal=help lists the signals' : `did you mean ${guess}?`,
  )
}
