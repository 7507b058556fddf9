/**
 * Settings while they are being read: what each option changes. Options may come in any order, so what
 * depends on several of them is decided afterwards, in check.ts.
 */
import type { LogEvent } from '../log.ts'
import type { ProcessorSet } from './values/cpu-list.ts'
import { defaultSettings, type Ownership, type Settings } from './settings.ts'

/** What the command line says about this program rather than about the container. */
export interface ProgramOptions {
  /** Print the plan as JSON and start nothing. */
  readonly printPlan: boolean
  /** Remove what a crashed run left, and start nothing. */
  readonly cleanUp: boolean
  /** Where images are searched for and made; undefined leaves it to the environment. */
  readonly machinesDirectory: string | undefined
  /** `--oci-bundle=`, absolute. */
  readonly bundle: string | undefined
  /** `--settings=`: whether a `.nspawn` file is read, and who of file and command line counts more. */
  readonly settingsFile: SettingsFileMode
  /** Say what is done, step by step, and show the stack of an internal error. */
  readonly debug: boolean
}

/**
 * `yes`: the command line counts more, the place decides about trust. `override`: the file counts more. `trusted`:
 * as `yes`, and the file may say everything.
 */
export type SettingsFileMode = 'no' | 'yes' | 'override' | 'trusted'

/** One thing that was said, to be applied to a draft in its turn. */
export interface Entry {
  /** What it takes part in deciding; undefined for what only the command line can say. */
  readonly group: string | undefined
  readonly apply: (draft: Draft) => void
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

export interface Draft {
  /** Where one option decides alone; the rest is filled in at the end. */
  readonly settings: Writable<Settings>
  /** `--directory=`, absolute. */
  directory: string | undefined
  /** `--image=`, absolute. */
  image: string | undefined
  /** Undefined until the option says so; then the mode of private users decides. */
  ownership: Ownership | undefined
  /** Undefined until the option says so; then the environment decides. */
  suppressSync: boolean | undefined
  /** Those that the container may run on. */
  processors: ProcessorSet | undefined
  /** `--share-system` was given. */
  shareSystem: boolean
  /** Namespaces that an OCI bundle does not list. */
  unlistedNamespaces: readonly ('ipc' | 'pid' | 'uts' | 'cgroup')[]
  program: Writable<ProgramOptions>
  /** What the user should know although it is no error. */
  events: LogEvent[]
}

/** What the reading of a value may look at: nothing but the caller's directory and environment. */
export interface Caller {
  /** Absolute. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The state before any option is read. */
export function emptyDraft(): Draft {
  return {
    settings: defaultSettings(),
    directory: undefined,
    image: undefined,
    ownership: undefined,
    suppressSync: undefined,
    processors: undefined,
    shareSystem: false,
    unlistedNamespaces: [],
    program: {
      printPlan: false,
      cleanUp: false,
      machinesDirectory: undefined,
      bundle: undefined,
      settingsFile: 'yes',
      debug: false,
    },
    events: [],
  }
}
