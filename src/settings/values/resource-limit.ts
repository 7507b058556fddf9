/** Values of `--rlimit=`; each limit counts in its own unit (setrlimit(2)). */
import { usageError } from '../../errors.ts'
import { nearest } from '../nearest.ts'
import type { ResourceLimit } from '../settings.ts'
import { parseInteger } from './number.ts'
import { parseSize } from './size.ts'
import { parseTimeSpan } from './time-span.ts'

type Unit = 'bytes' | 'seconds' | 'microseconds' | 'nice' | 'count'

const units: Readonly<Record<string, Unit>> = {
  CPU: 'seconds',
  FSIZE: 'bytes',
  DATA: 'bytes',
  STACK: 'bytes',
  CORE: 'bytes',
  RSS: 'bytes',
  NPROC: 'count',
  NOFILE: 'count',
  MEMLOCK: 'bytes',
  AS: 'bytes',
  LOCKS: 'count',
  SIGPENDING: 'count',
  MSGQUEUE: 'bytes',
  NICE: 'nice',
  RTPRIO: 'count',
  RTTIME: 'microseconds',
}

/** Names without RLIMIT_, in the order of asm-generic/resource.h, so the index is the kernel's number. */
export const resourceLimitNames: readonly string[] = Object.keys(units)

/** The greatest double below 2⁶⁴: all 64 bits set would mean infinity to the kernel. */
const largest = 2 ** 64 - 2048

/**
 * `NAME=VALUE` or `NAME=SOFT:HARD`, the name as `NOFILE`, `RLIMIT_NOFILE` or `LimitNOFILE`. CPU comes
 * out in seconds, RTTIME in microseconds, NICE as 20 less the nice value.
 *
 * @throws NspawnError (`USAGE`)
 */
export function parseResourceLimit(text: string): { name: string; limit: ResourceLimit } {
  const at = text.indexOf('=')
  if (at < 0) throw usageError('a limit is written NAME=VALUE or NAME=SOFT:HARD')
  const name = limitName(text)
  const unit = Object.hasOwn(units, name) ? units[name] : undefined
  if (unit === undefined) {
    const guess = nearest(name, resourceLimitNames)
    throw usageError(
      `there is no resource limit "${text.slice(0, at)}"`,
      guess === undefined ? '--rlimit=help lists the limits' : `did you mean ${guess}?`,
    )
  }
  return { name, limit: parsePair(text.slice(at + 1), unit) }
}

/** The name in front of the `=`, without the prefixes it may have. */
export function limitName(text: string): string {
  return text.replace(/=.*$/s, '').replace(/^(?:RLIMIT_|Limit)/, '')
}

function parsePair(text: string, unit: Unit): ResourceLimit {
  const colon = text.indexOf(':')
  const soft = parseOne(colon < 0 ? text : text.slice(0, colon), unit)
  const hard = colon < 0 ? soft : parseOne(text.slice(colon + 1), unit)
  if (hard !== null && (soft === null || soft > hard)) {
    throw usageError(`the soft limit of "${text}" is above the hard limit`)
  }
  return { soft: asNumber(soft), hard: asNumber(hard) }
}

function asNumber(value: bigint | null): number | null {
  return value === null ? null : Math.min(Number(value), largest)
}

function parseOne(text: string, unit: Unit): bigint | null {
  if (text === 'infinity' && unit !== 'nice') return null
  const value = readers[unit](text)
  if (value === undefined || value < 0n || value >= (1n << 64n) - 1n) {
    throw usageError(`"${text}" is not ${descriptions[unit]}`)
  }
  return value
}

const descriptions: Readonly<Record<Unit, string>> = {
  bytes: 'a size such as 512M, or infinity',
  seconds: 'a time such as 90 or 5min, or infinity',
  microseconds: 'a time such as 500ms, or infinity',
  nice: 'a nice value from -20 to +19 with its sign, or a raw limit from 0 to 40',
  count: 'a whole number, or infinity',
}

const readers: Readonly<Record<Unit, (text: string) => bigint | undefined>> = {
  bytes: parseSize,
  seconds: (text) => {
    const microseconds = parseTimeSpan(text, 's')
    return microseconds === undefined ? undefined : BigInt(Math.ceil(microseconds / 1_000_000))
  },
  microseconds: (text) => {
    const microseconds = parseTimeSpan(text, 'us')
    return microseconds === undefined ? undefined : BigInt(microseconds)
  },
  nice: (text) => {
    const value = parseInteger(text)
    if (value === undefined) return undefined
    if (/^[+-]/.test(text)) return value >= -20n && value <= 19n ? 20n - value : undefined
    return value <= 40n ? value : undefined
  },
  count: parseInteger,
}
