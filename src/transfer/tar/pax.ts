/** PAX records: `LENGTH KEY=VALUE` lines that say what a header block has no room for. Values are bytes. */
import type { TimeOfInode } from '../../sys/statx.ts'
import { badArchive } from './header.ts'

export interface PaxRecord {
  readonly key: string
  readonly value: Buffer
}

const [BLANK, DOT, MINUS, EQUALS, NEWLINE] = [0x20, 0x2e, 0x2d, 0x3d, 0x0a]
/** So many digits always are a number that can be counted with. */
const DIGITS_MAX = 15

const NANO_DIGITS = 9

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

/** The number in decimal digits between two places; undefined when it is none, or larger than any that is meant. */
function readDigits(bytes: Buffer, from: number, to: number): number | undefined {
  if (to <= from || to - from > DIGITS_MAX) return undefined
  let number = 0
  for (let i = from; i < to; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return undefined
    number = number * 10 + digit
  }
  return number
}

/**
 * The records of an extended header, in their order (sparse maps repeat keys).
 *
 * @throws NspawnError `BAD_ARCHIVE`
 * @see POSIX.1 pax, "pax Extended Header"
 */
export function readPaxRecords(bytes: Buffer): PaxRecord[] {
  const records: PaxRecord[] = []
  for (let at = 0; at < bytes.length;) {
    // Some writers fill up the block with zeros and count them.
    if (bytes[at] === 0) break
    const blank = bytes.indexOf(BLANK, at)
    const end = at + (readDigits(bytes, at, blank) ?? NaN)
    const equals = bytes.indexOf(EQUALS, blank)
    const whole =
      end <= bytes.length && bytes[end - 1] === NEWLINE && equals > blank + 1 && equals < end
    if (!whole) throw badArchive('an extended header is damaged', undefined)
    records.push({
      key: bytes.toString('latin1', blank + 1, equals),
      value: bytes.subarray(equals + 1, end - 1),
    })
    at = end
  }
  return records
}

/** Records as bytes. */
export function writePaxRecords(records: readonly PaxRecord[]): Buffer {
  return Buffer.concat(
    records.flatMap(({ key, value }) => {
      const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')])
      let length = rest.length + 1
      while (String(length).length + rest.length !== length) {
        length = String(length).length + rest.length
      }
      return [Buffer.from(String(length)), rest]
    }),
  )
}

/** @throws NspawnError `BAD_ARCHIVE` */
export function readPaxNumber(value: Buffer, what: string, entry: string): number {
  const text = value.toString('latin1')
  const number = Number(text)
  if (!/^[0-9]+$/.test(text) || !Number.isSafeInteger(number)) {
    throw badArchive(`its ${what} is no number`, entry)
  }
  return number
}

/** Seconds in decimal, perhaps negative, perhaps with a fraction. @throws NspawnError `BAD_ARCHIVE` */
export function readPaxTime(value: Buffer, entry: string): TimeOfInode {
  const dot = value.indexOf(DOT)
  const point = dot < 0 ? value.length : dot
  const negative = value[0] === MINUS
  const whole = readDigits(value, negative ? 1 : 0, point)
  const fraction = value.subarray(point + 1)
  if (whole === undefined || !fraction.every(isDigit))
    throw badArchive('its time is no number', entry)
  const seconds = BigInt(whole)
  const digits = Math.min(fraction.length, NANO_DIGITS)
  const nanoseconds = (readDigits(fraction, 0, digits) ?? 0) * 10 ** (NANO_DIGITS - digits)
  if (!negative) return { seconds, nanoseconds }
  if (nanoseconds === 0) return { seconds: -seconds, nanoseconds }
  return { seconds: -seconds - 1n, nanoseconds: 1_000_000_000 - nanoseconds }
}

/** The inverse of `readPaxTime()`. */
export function writePaxTime({ seconds, nanoseconds }: TimeOfInode): string {
  if (nanoseconds === 0) return String(seconds)
  const fraction = (ns: number) => String(ns).padStart(9, '0').replace(/0+$/, '')
  if (seconds >= 0n) return `${seconds}.${fraction(nanoseconds)}`
  return `-${-seconds - 1n}.${fraction(1_000_000_000 - nanoseconds)}`
}
