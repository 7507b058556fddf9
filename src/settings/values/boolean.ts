/** The words systemd takes for true and false. */
import { usageError } from '../../errors.ts'

const words: Readonly<Record<string, boolean>> = {
  '1': true,
  yes: true,
  y: true,
  true: true,
  t: true,
  on: true,
  '0': false,
  no: false,
  n: false,
  false: false,
  f: false,
  off: false,
}

/** True or false in any letter case; undefined for every other word. */
export function booleanWord(text: string): boolean | undefined {
  const word = text.toLowerCase()
  return Object.hasOwn(words, word) ? words[word] : undefined
}

/** @throws NspawnError (`USAGE`) when `text` is no boolean */
export function parseBoolean(text: string): boolean {
  const value = booleanWord(text)
  if (value === undefined) throw usageError(`"${text}" is neither yes nor no`)
  return value
}
