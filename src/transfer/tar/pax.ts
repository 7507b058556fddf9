/** PAX records: `LENGTH KEY=VALUE` lines that say what a header block has no room for. Values are bytes. */
import type { TimeOfInode } from '../../sys/statx.ts'
import { badArchive } from './header.ts'

export interface PaxRecord {
  readonly key: string
  readonly value: Buffer
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
    const blank = bytes.indexOf(0x20, at)
    const digits = blank < 0 ? '' : bytes.toString('latin1', at, blank)
    const end = at + Number(digits)
    const equals = bytes.indexOf(0x3d, blank)
    const whole =
      /^[0-9]{1,10}$/.test(digits) &&
      end <= bytes.length &&
      bytes[end - 1] === 0x0a &&
      equals > blank + 1 &&
      equals < end
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
  const found = /^(-?)([0-9]{1,18})(?:\.([0-9]*))?$/.exec(value.toString('latin1'))
  if (found === null) throw badArchive('its time is no number', entry)
  const seconds = BigInt(found[2] as string)
  const nanoseconds = Number((found[3] ?? '').slice(0, 9).padEnd(9, '0'))
  if (found[1] === '') return { seconds, nanoseconds }
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
