/**
 * The command line, read by getopt_long(3)'s rules: options end at the first other word or at `--`,
 * long names may be shortened while they stay unambiguous, optional values are attached with `=`.
 */
import { NspawnError, usageError } from '../errors.ts'
import type { LogEvent } from '../log.ts'
import { chosenTree, settle, type TreeChoice } from './check.ts'
import { emptyDraft, type Caller, type Draft, type Entry, type ProgramOptions } from './draft.ts'
import { readEnvironment } from './environment.ts'
import { limitGroup } from './file/keys.ts'
import type { SettingsFile } from './file/settings-file.ts'
import { helpText } from './help.ts'
import { merge } from './merge.ts'
import { nearest } from './nearest.ts'
import { optionName, type Option } from './option.ts'
import type { Settings } from './settings.ts'
import { byLetter, byName } from './table.ts'
import { unsupported } from './unsupported.ts'
import { limitName } from './values/resource-limit.ts'

export interface Invocation extends Caller {
  /** What `--version` shows behind the program's name. */
  readonly version: string
}

/** Settings that are final, and what the user should know of them. */
export interface SettledCommandLine {
  readonly settings: Settings
  readonly program: ProgramOptions
  /** Notices and warnings, to be shown before anything is done (notices not with `quiet`). */
  readonly events: readonly LogEvent[]
}

/** Only something to print on stdout, final newline included; exit status 0. */
export interface Text {
  readonly kind: 'text'
  readonly text: string
}

/** A command line that a `.nspawn` file may still add to: which one that is follows from the tree. */
export interface ReadCommandLine {
  readonly kind: 'run'
  readonly program: ProgramOptions
  readonly tree: TreeChoice
  readonly caller: Caller
  /** @throws NspawnError (`USAGE`, `NOT_SUPPORTED`) where both together make no sense */
  settle(file: SettingsFile | undefined): SettledCommandLine
}

/** One option as it stands on the command line. */
interface Occurrence {
  readonly option: Option
  /** As the user wrote it, without the value. */
  readonly written: string
  /** Undefined when there was no value. */
  readonly text: string | undefined
}

/** The options in one word, and the index of the word after them and their value. */
interface Word {
  readonly found: readonly Occurrence[]
  readonly next: number
}

/**
 * Reads a command line without looking at the file system.
 *
 * @param argv the words after the program's name
 * @param invocation the caller's directory and environment, and our version
 * @throws NspawnError: `USAGE` for what is wrong, `NOT_SUPPORTED` for what systemd-nspawn has and we
 *   have not
 */
export function readCommandLine(
  argv: readonly string[],
  invocation: Invocation,
): ReadCommandLine | Text {
  const unreadable = argv.find((word) => word.includes('\0'))
  if (unreadable !== undefined) throw usageError('a word of the command line contains a NUL')
  const draft = emptyDraft()
  const entries: Entry[] = []
  const level = invocation.env['SYSTEMD_LOG_LEVEL']
  draft.program.debug = level === 'debug' || level === '7'
  let at = 0
  for (let word = argv[at]; word !== undefined && isOption(word); word = argv[at]) {
    const { found, next } = word.startsWith('--') ? longOption(argv, at) : shortOptions(argv, at)
    for (const occurrence of found) {
      const text = printed(occurrence, invocation)
      if (text !== undefined) return { kind: 'text', text }
      const entry = entryOf(occurrence, invocation)
      entry.apply(draft)
      entries.push(entry)
    }
    at = next
  }
  if (argv[at] === '--') at++
  const command = argv.slice(at)
  if (command.length > 0) {
    const apply = ({ settings }: Draft) => {
      settings.command = command
    }
    entries.push({ group: 'start-mode', apply })
  }
  const environment = readEnvironment(invocation.env)
  const { program } = draft
  return {
    kind: 'run',
    program,
    tree: chosenTree(draft),
    caller: invocation,
    settle: (file) => {
      const merged = merge(program, entries, file)
      const settings = settle(merged, environment, invocation.cwd)
      return { settings, program, events: [...environment.events, ...merged.events] }
    },
  }
}

function isOption(word: string): boolean {
  return word.startsWith('-') && word !== '-' && word !== '--'
}

function longOption(argv: readonly string[], at: number): Word {
  const word = argv[at] ?? ''
  const equals = word.indexOf('=')
  const typed = equals < 0 ? word.slice(2) : word.slice(2, equals)
  const attached = equals < 0 ? undefined : word.slice(equals + 1)
  const option = byName.get(typed) ?? abbreviated(typed)
  const written = `--${typed}`
  if (option.value === 'none' && attached !== undefined) {
    throw usageError(`option ${optionName(option)} does not take a value`, `write ${written} alone`)
  }
  if (option.value === 'required' && attached === undefined) {
    return { found: [{ option, written, text: valueAfter(argv, at, option) }], next: at + 2 }
  }
  return { found: [{ option, written, text: attached }], next: at + 1 }
}

function abbreviated(typed: string): Option {
  const names = [...byName.keys()].filter((name) => name.startsWith(typed))
  const candidates = new Set(names.map((name) => byName.get(name)))
  const [only] = candidates
  if (candidates.size === 1 && only !== undefined) return only
  if (candidates.size > 1) {
    throw usageError(
      `option --${typed} is ambiguous`,
      `it may be ${names.map((name) => `--${name}`).join(', ')}`,
    )
  }
  const known = [...byName].filter(([, option]) => option.hidden === undefined)
  const guess = nearest(
    typed,
    known.map(([name]) => name),
  )
  throw usageError(
    `unknown option --${typed}`,
    guess === undefined ? '--help lists the options' : `did you mean --${guess}?`,
  )
}

/** A cluster such as `-xq` or `-xD/tree`: what follows a letter that needs a value is the value. */
function shortOptions(argv: readonly string[], at: number): Word {
  const letters = Array.from(argv[at] ?? '').slice(1)
  const found: Occurrence[] = []
  for (const [index, letter] of letters.entries()) {
    const option = byLetter.get(letter)
    if (option === undefined) {
      throw usageError(`unknown option -${letter}`, '--help lists the options')
    }
    const written = `-${letter}`
    if (option.value === 'required') {
      const attached = letters.slice(index + 1).join('')
      const detached = attached === ''
      const text = detached ? valueAfter(argv, at, option) : attached
      return { found: [...found, { option, written, text }], next: detached ? at + 2 : at + 1 }
    }
    found.push({ option, written, text: undefined })
  }
  return { found, next: at + 1 }
}

function valueAfter(argv: readonly string[], at: number, option: Option): string {
  const value = argv[at + 1]
  if (value !== undefined) return value
  throw usageError(
    `option ${optionName(option)} needs a value`,
    `it is a ${option.placeholder ?? ''}`,
  )
}

/** What to print and end with, where the option asks for that. */
function printed(
  { option, text }: Occurrence,
  invocation: Pick<Invocation, 'version'>,
): string | undefined {
  if (option.name === 'help') return helpText()
  // Only now: finding the version out costs every start that needs none.
  if (option.name === 'version') return `tsnspawn ${invocation.version}\n`
  if (text !== 'help' || option.read === undefined || option.list === undefined) return undefined
  return `${option.list().join('\n')}\n`
}

function entryOf({ option, written, text }: Occurrence, caller: Caller): Entry {
  const apply = (draft: Draft) => {
    if (option.read === undefined) throw unsupported(`option ${optionName(option)}`, option.instead)
    try {
      if (option.value === 'none') option.read(draft)
      else if (option.value === 'optional') option.read(draft, text, caller)
      else option.read(draft, text ?? '', caller)
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      const given = text === undefined ? '' : written.startsWith('--') ? `=${text}` : ` ${text}`
      throw new NspawnError(`cannot read ${written}${given}: ${error.message}`, {
        code: error.code,
        hint: error.hint,
      })
    }
  }
  const group = option.group === 'resource-limit' ? limitGroup(limitName(text ?? '')) : option.group
  return { group, apply }
}
