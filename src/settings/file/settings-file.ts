/**
 * A `.nspawn` file, from its text to the entries that `merge.ts` weighs against the command line. A value that is
 * invalid is passed over with a warning, as systemd-nspawn does.
 */
import { NspawnError, usageError } from '../../errors.ts'
import type { LogEvent } from '../../log.ts'
import { emptyDraft, type Caller, type Draft, type Entry } from '../draft.ts'
import { nearest } from '../nearest.ts'
import { plainWords, quotedWords } from '../values/words.ts'
import { byFileKey, fileSections, type FileKey } from './keys.ts'
import { FileStartMode, startModeKeys } from './start-mode.ts'
import { readFileLines, shown, type Assignment, type FileLine } from './syntax.ts'

/** A file as it was found. */
export interface SettingsFileText {
  readonly path: string
  readonly bytes: Uint8Array
  /** Lies where only the administrator of the host can put it. */
  readonly trusted: boolean
}

/** One thing that the file says; applying it cannot fail but for `NOT_SUPPORTED`. */
export interface FileEntry extends Entry {
  readonly group: string
  /** `PATH:LINE: KEY=VALUE`, for messages. */
  readonly origin: string
  /** What the message calls it when the file is not trusted; undefined where everybody may say it. */
  readonly privileged: string | undefined
}

export interface SettingsFile {
  readonly path: string
  readonly trusted: boolean
  readonly entries: readonly FileEntry[]
  readonly events: readonly LogEvent[]
}

/**
 * Reads a file without looking at the file system.
 *
 * @throws NspawnError (`BAD_SETTINGS_FILE`) where nothing sensible can be made of it, and where systemd-nspawn ends
 *   too
 * @see systemd.nspawn(5)
 */
export function parseSettingsFile(file: SettingsFileText, caller: Caller): SettingsFile {
  const lines = readFileLines(file.path, file.bytes)
  return new Reader(file.path, caller).read(lines, file.trusted)
}

class Reader {
  private entries: (FileEntry & { readonly key: FileKey })[] = []
  private readonly startMode = new FileStartMode()
  private startModeOrigin = ''
  /** What the file says alone: values are tried on it. */
  private readonly trial = emptyDraft()
  private readonly path: string
  private readonly caller: Caller
  private readonly events: LogEvent[] = []

  constructor(path: string, caller: Caller) {
    this.path = path
    this.caller = caller
  }

  read(lines: readonly FileLine[], trusted: boolean): SettingsFile {
    for (const line of lines) {
      const known = line.section === undefined || isKnownSection(line.section)
      if (line.kind === 'section') {
        // Names that begin like this are for other programs.
        if (!known && !line.section.startsWith('X-')) this.warn(line, unknownSection(line.section))
      } else if (!known) continue
      else if (line.kind === 'malformed') this.warn(line, `ignoring ${line.what}`)
      else if (isStartModeKey(line)) this.readStartMode(line)
      else {
        const key = byFileKey.get(`${line.section}.${line.key}`)
        if (key !== undefined) this.readKey(key, line)
        else if (!line.key.startsWith('X-')) this.warn(line, unknownKey(line))
      }
    }
    return {
      path: this.path,
      trusted,
      entries: [...this.startModeEntry(), ...this.entries.map((entry) => this.judged(entry))],
      events: this.events,
    }
  }

  private readKey(key: FileKey, assignment: Assignment): void {
    const { value } = assignment
    if (value === '' && key.empty === 'resets')
      this.entries = this.entries.filter((entry) => entry.key !== key)
    if (value === '' && key.empty !== undefined) return
    for (const text of this.pieces(key.words, assignment)) {
      const apply = (draft: Draft) => key.read(draft, text, this.caller)
      if (!this.tried(key, { ...assignment, value: text }, apply)) continue
      const origin = `${this.path}:${assignment.line}: ${key.key}=${shown(text)}`
      const group = key.group
      const privileged = key.privileged ? `${key.key}=` : undefined
      this.entries.push({ key, group, origin, privileged, apply })
    }
  }

  /** Whether the value can be applied, now or where this version has the setting. */
  private tried(key: FileKey, assignment: Assignment, apply: (draft: Draft) => void): boolean {
    try {
      apply(this.trial)
      return true
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      if (error.code === 'NOT_SUPPORTED') return true
      if (key.strict(assignment.value)) {
        throw new NspawnError(
          `cannot read ${key.key}=${shown(assignment.value)} in ${this.path}:${assignment.line}: ${shown(error.message)}`,
          { code: 'BAD_SETTINGS_FILE', hint: error.hint },
        )
      }
      this.invalid(assignment, error)
      return false
    }
  }

  private pieces(words: FileKey['words'], assignment: Assignment): readonly string[] {
    if (words === undefined) return [assignment.value]
    if (words === 'plain') return plainWords(assignment.value)
    const { words: found, open } = quotedWords(assignment.value)
    if (open) this.invalid(assignment, usageError('a quote is not closed'), 'the rest of ')
    return found
  }

  private readStartMode(assignment: Assignment & { readonly key: (typeof startModeKeys)[number] }) {
    const { key, value, line } = assignment
    if (key === 'Parameters') {
      if (value === '') this.startMode.forgetParameters()
      else this.startMode.append(this.pieces('quoted', assignment))
      return
    }
    try {
      this.startMode.assign(key, value)
      this.startModeOrigin = `${this.path}:${line}: ${key}=${shown(value)}`
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      this.invalid(assignment, error)
    }
  }

  private startModeEntry(): FileEntry[] {
    if (this.startMode.chosen !== undefined) {
      const apply = (draft: Draft) => this.startMode.apply(draft)
      const origin = this.startModeOrigin
      return [{ group: 'start-mode', origin, privileged: undefined, apply }]
    }
    if (this.startMode.hasParameters) {
      const text = `${this.path}: Parameters= has no effect without Boot= or ProcessTwo=`
      this.events.push({ kind: 'warning', text })
    }
    return []
  }

  /** Forbidding system calls is everybody's right, but not in one file with allowing some. */
  private judged({ group, origin, privileged, apply }: FileEntry): FileEntry {
    const allows =
      group === 'system-call-filter' && this.trial.settings.systemCallFilter.allow.length > 0
    return { group, origin, privileged: allows ? 'SystemCallFilter=' : privileged, apply }
  }

  private invalid({ key, value, line }: Assignment, error: NspawnError, part = ''): void {
    const text = `ignoring ${part}${key}=${shown(value)}: ${shown(error.message)}`
    this.warn({ line }, text)
  }

  private warn({ line }: Pick<Assignment, 'line'>, text: string): void {
    this.events.push({ kind: 'warning', text: `${this.path}:${line}: ${text}` })
  }
}

const isKnownSection = (name: string) => fileSections.some((known) => known === name)

function isStartModeKey(
  assignment: Assignment,
): assignment is Assignment & { readonly key: (typeof startModeKeys)[number] } {
  return assignment.section === 'Exec' && startModeKeys.some((key) => key === assignment.key)
}

function unknownSection(section: string): string {
  return `ignoring unknown section [${shown(section)}]${guessed(nearest(section, fileSections), (name) => `[${name}]`)}`
}

function unknownKey({ section, key }: Assignment): string {
  const keys = [...byFileKey.values()].filter((known) => known.section === section)
  const names = [...keys.map((known) => known.key), ...(section === 'Exec' ? startModeKeys : [])]
  return `ignoring unknown key ${shown(key)}= in section [${section}]${guessed(nearest(key, names), (name) => `${name}=`)}`
}

const guessed = (name: string | undefined, written: (name: string) => string): string =>
  name === undefined ? '' : `, did you mean ${written(name)}?`
