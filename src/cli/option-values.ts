/** Values that options of several verbs take, in words. All throw NspawnError `USAGE` for what is none. */
import { usageError } from '../errors.ts'
import { booleanWord } from '../settings/values/boolean.ts'
import { parseSize } from '../settings/values/size.ts'
import { parseSpan } from '../time-span.ts'

/** @param option its name as it is typed, for messages; so for the others */
export function yesOrNo(text: string, option: string): boolean {
  const value = booleanWord(text)
  if (value === undefined) throw usageError(`${option}=${text} is neither yes nor no`)
  return value
}

/** What `--keep-download` says. */
export function yesNoOrAuto(text: string, option: string): 'yes' | 'no' | 'auto' {
  if (text === 'auto') return 'auto'
  const value = booleanWord(text)
  if (value === undefined) throw usageError(`${option}=${text} is neither yes, no nor auto`)
  return value ? 'yes' : 'no'
}

/** @returns bytes, more than 0; undefined when the option was not given */
export function sizeInBytes(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const size = parseSize(text)
  if (size !== undefined && size > 0n) return Number(size)
  throw usageError(`${option}=${text} is no size`, 'write a number of bytes, or one with K, M or G')
}

/** A number of things that go on at once, or undefined when the option was not given. */
export function wholeNumber(text: string | undefined, option: string): number | undefined {
  if (text === undefined) return undefined
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= 1 && number <= 4096) return number
  throw usageError(`${option}=${text} is no number of them`, 'give one from 1 to 4096')
}

/** What `set-limit` takes. @returns bytes; undefined for no limit: `-`, `none` or `infinity` */
export function sizeOrNone(text: string): number | undefined {
  if (['-', 'none', 'infinity'].includes(text)) return undefined
  const size = parseSize(text)
  if (size !== undefined) return Number(size)
  throw usageError(`"${text}" is no size`, 'a size is a number with K, M, G, T, P or E, or "none"')
}

/** For options with several words in one value, divided by commas or blanks; repeating one adds to it. */
export function list(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(/[,\s]+/).filter((word) => word !== '')]
}

/** For options that may be repeated. */
export function collect(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text]
}

/** `90` (seconds), `30min`, `2h`, `1h 30min` in milliseconds. */
export function spanMs(text: string): number {
  const span = parseSpan(text)
  if (span !== undefined) return span
  throw usageError(`not a time span: ${text}`, 'write seconds, or 30min, 2h, 1h 30min')
}
