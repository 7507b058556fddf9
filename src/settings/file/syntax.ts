/**
 * The lines of a `.nspawn` file, read as systemd.syntax(7) has it: sections, assignments, comments,
 * continued lines. Which names and values there are is decided elsewhere.
 */
import { NspawnError } from '../../errors.ts'

export interface Assignment {
  readonly kind: 'assignment'
  readonly section: string
  readonly key: string
  readonly value: string
  /** The line it begins on, from 1. */
  readonly line: number
}

/** A logical line that is neither empty nor a comment. */
export type FileLine =
  | Assignment
  | { readonly kind: 'section'; readonly section: string; readonly line: number }
  /** What cannot be used; `section` is undefined in front of the first one. */
  | {
      readonly kind: 'malformed'
      readonly section: string | undefined
      readonly what: string
      readonly line: number
    }

/** No sensible file is longer; what is read of it stays quick whatever is in it. */
export const SETTINGS_FILE_MAX = 1 << 16

/**
 * The lines of a file in their order.
 *
 * @param path how messages call the file
 * @throws NspawnError (`BAD_SETTINGS_FILE`) for a section header without its end, for what is not UTF-8, and for
 *   more than 64 KiB
 */
export function readFileLines(path: string, bytes: Uint8Array): readonly FileLine[] {
  if (bytes.length > SETTINGS_FILE_MAX)
    throw broken(path, undefined, `it is longer than ${SETTINGS_FILE_MAX >> 10} KiB`)
  const lines: FileLine[] = []
  let section: string | undefined
  for (const { text, line } of logicalLines(path, bytes)) {
    if (text === '') continue
    if (text.startsWith('[')) {
      if (!text.endsWith(']')) throw broken(path, line, `section header ${shown(text)} has no end`)
      section = text.slice(1, -1)
      lines.push({ kind: 'section', section, line })
      continue
    }
    const equals = text.indexOf('=')
    const what =
      section === undefined
        ? 'an assignment before the first section'
        : equals < 0
          ? `a line without "=": ${shown(text)}`
          : equals === 0
            ? 'a value without a key'
            : undefined
    if (section === undefined || what !== undefined) {
      lines.push({ kind: 'malformed', section, what: what ?? '', line })
      continue
    }
    const key = strip(text.slice(0, equals))
    const value = strip(text.slice(equals + 1))
    lines.push({ kind: 'assignment', section, key, value, line })
  }
  return lines
}

/** Text of a file for a message: on one line, without what a terminal would obey, and not too long. */
export function shown(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what has to go
  const plain = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?')
  const characters = Array.from(plain.slice(0, 200))
  return characters.length > 80 ? `${characters.slice(0, 80).join('')}…` : plain
}

function broken(path: string, line: number | undefined, what: string): NspawnError {
  const place = line === undefined ? path : `${path}:${line}`
  return new NspawnError(`cannot read settings file ${place}: ${what}`, {
    code: 'BAD_SETTINGS_FILE',
    hint: 'correct the file, or leave it out with --settings=no',
  })
}

/** Without the blanks around it; a regular expression would look at a run of blanks again and again. */
function strip(text: string): string {
  const isBlank = (at: number) => text[at] === ' ' || text[at] === '\t'
  let start = 0
  let end = text.length
  while (start < end && isBlank(start)) start++
  while (end > start && isBlank(end - 1)) end--
  return text.slice(start, end)
}

/** Stripped lines without comments; where a backslash ends one, the next is joined to it with a blank. */
function* logicalLines(
  path: string,
  bytes: Uint8Array,
): Generator<{ readonly text: string; readonly line: number }> {
  let parts: string[] = []
  let begun = 0
  let number = 0
  for (const raw of physicalLines(bytes)) {
    number++
    const text = decode(raw)
    if (text === undefined) throw broken(path, number, 'not UTF-8 text')
    const first = strip(text)[0]
    if (first === '#' || first === ';') continue
    if (parts.length === 0) begun = number
    if (endsInBackslash(text)) {
      parts.push(text.slice(0, -1))
      continue
    }
    yield { text: strip([...parts, text].join(' ')), line: begun }
    parts = []
  }
  if (parts.length > 0) yield { text: strip(parts.join(' ')), line: begun }
}

/** A backslash that another one stands before is an ordinary character. */
function endsInBackslash(text: string): boolean {
  let count = 0
  while (text.charAt(text.length - 1 - count) === '\\') count++
  return count % 2 === 1
}

/** Each of \n, \r and NUL ends a line; one of each kind together ends a single one. */
function* physicalLines(bytes: Uint8Array): Generator<Uint8Array> {
  const isEnd = (byte: number | undefined) => byte === 0 || byte === 0x0a || byte === 0x0d
  const bom = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  let at = bom ? 3 : 0
  while (at < bytes.length) {
    let end = at
    while (end < bytes.length && !isEnd(bytes[end])) end++
    yield bytes.subarray(at, end)
    const seen = new Set<number>()
    for (at = end; at < bytes.length; at++) {
      const byte = bytes[at] as number
      if (!isEnd(byte) || seen.has(byte)) break
      seen.add(byte)
    }
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
