/**
 * The shape of a row of the settings table. The command line, `.nspawn` files, `--help` and
 * docs/options.md all follow from the rows; a setting exists nowhere else.
 */
import type { Caller, Draft } from './draft.ts'

/** Headings of `--help`, in its order. */
export const sections = [
  'General',
  'Image',
  'Execution',
  'System identity',
  'Properties',
  'User namespacing',
  'Networking',
  'Security',
  'Resources',
  'Integration',
  'Mounts',
  'Input and output',
  'Credentials',
  'Additions of tsnspawn',
] as const
export type Section = (typeof sections)[number]

/**
 * What a `.nspawn` file may not change any more once the command line has said something about it:
 * one option masks all keys of its group.
 */
export type SettingsGroup =
  | 'start-mode'
  | 'ephemeral'
  | 'directory'
  | 'environment'
  | 'user'
  | 'capability'
  | 'kill-signal'
  | 'personality'
  | 'machine-id'
  | 'working-directory'
  | 'pivot-root'
  | 'notify-ready'
  | 'system-call-filter'
  | 'hostname'
  | 'no-new-privileges'
  | 'oom-score-adjust'
  | 'cpu-affinity'
  | 'resolv-conf'
  | 'timezone'
  | 'link-journal'
  | 'read-only'
  | 'volatile'
  | 'suppress-sync'
  | 'slice'
  | 'credentials'
  | 'bind-user'
  | 'user-namespace'
  | 'custom-mounts'
  | 'network'
  | 'ports'
  | 'resource-limit'
  | 'console'

export type FileSection = 'Exec' | 'Files' | 'Network'

interface Row {
  /** Without the dashes; undefined for the few options that are one letter only. */
  readonly name?: string | undefined
  /** One letter. */
  readonly short?: string | undefined
  /** Other long names of the same option, older or newer than `name`. */
  readonly aliases?: readonly string[] | undefined
  readonly section: Section
  /** What the value is, in capitals. */
  readonly placeholder?: string | undefined
  /** One line of `--help`. */
  readonly help: string
  /** Left out of `--help` and of the suggestions: obsolete names. */
  readonly hidden?: true | undefined
  readonly group?: SettingsGroup | undefined
  /** Section and keys of systemd.nspawn(5) that mean the same. */
  readonly keys?: readonly (readonly [section: FileSection, key: string])[] | undefined
  /** For docs/options.md: the value in force without the option. */
  readonly fallback?: string | undefined
  /** For docs/options.md: what there is to know beyond `help`. */
  readonly details?: string | undefined
  /** For docs/options.md: where we differ from systemd-nspawn. */
  readonly differs?: string | undefined
  /** The names that the value `help` lists. */
  readonly list?: (() => readonly string[]) | undefined
}

interface WithoutValue extends Row {
  readonly value: 'none'
  readonly read: (draft: Draft) => void
}

interface WithValue extends Row {
  readonly value: 'required'
  readonly placeholder: string
  readonly read: (draft: Draft, text: string, caller: Caller) => void
}

interface WithOptionalValue extends Row {
  readonly value: 'optional'
  readonly placeholder: string
  /** `text` is undefined when the option came without a value. */
  readonly read: (draft: Draft, text: string | undefined, caller: Caller) => void
}

/** An option of systemd-nspawn that this version refuses. */
interface Refused extends Row {
  readonly value: 'none' | 'required' | 'optional'
  readonly read?: undefined
  /** What to do instead; one sentence, no full stop. */
  readonly instead?: string | undefined
}

export type Option = WithoutValue | WithValue | WithOptionalValue | Refused

/** How the user would write the option: `--bind=`, `--boot`, `-U`. */
export function optionName(option: Option): string {
  if (option.name === undefined) return `-${option.short ?? ''}`
  return option.value === 'required' ? `--${option.name}=` : `--${option.name}`
}
