/**
 * The keys of `.nspawn` files (systemd.nspawn(5)). They follow from the rows of the settings table, whose readers
 * they share; here stands only in what a file differs from the command line.
 */
import { usageError } from '../../errors.ts'
import type { Caller, Draft } from '../draft.ts'
import type { FileSection, Option } from '../option.ts'
import { options } from '../table.ts'
import { booleanWord, parseBoolean } from '../values/boolean.ts'
import { addProcessors } from '../values/cpu-list.ts'
import { unsupported } from '../unsupported.ts'
import { parseFileAssignment } from '../values/words.ts'

export const fileSections: readonly FileSection[] = ['Exec', 'Files', 'Network']

type ReadText = (draft: Draft, text: string, caller: Caller) => void

export interface FileKey {
  readonly section: FileSection
  readonly key: string
  /** What the command line can mask it with; a group of its own for each resource limit. */
  readonly group: string
  readonly option: Option
  /** Says more than the owner of an image may decide: only from a file that is trusted. */
  readonly privileged: boolean
  /** What an empty value means: all before it is forgotten, nothing, or (undefined) it is read as any other. */
  readonly empty: 'resets' | 'nothing' | undefined
  /** How the value falls apart before each piece is read. */
  readonly words: 'plain' | 'quoted' | undefined
  /** Whether an invalid value ends the start, as it does in systemd-nspawn; usually it is passed over. */
  readonly strict: (text: string) => boolean
  /** @throws NspawnError: `USAGE` for an invalid value, `NOT_SUPPORTED` for what this version has not */
  readonly read: ReadText
}

/** What is different for one key. */
interface Manner {
  readonly privileged?: true
  readonly empty?: 'resets' | 'nothing'
  readonly words?: 'plain' | 'quoted'
  readonly strict?: (text: string) => boolean
  /** What `no` says, for options without a value; they are booleans in files. */
  readonly off?: (draft: Draft) => void
  /** What the option's reader is to see instead. */
  readonly rewrite?: (text: string) => string
  /** Instead of the option's reader. */
  readonly read?: ReadText
}

const privileged = { privileged: true } as const
const resets = { empty: 'resets' } as const
const capabilities = {
  words: 'plain',
  empty: 'nothing',
  rewrite: (text: string) => {
    if (!text.includes(',')) return text
    throw usageError(`"${text}" is no capability, separate them by blanks`)
  },
} as const
const interfaces = { privileged: true, words: 'plain', empty: 'nothing' } as const

const manners: Readonly<Record<string, Manner>> = {
  'Exec.Ephemeral': {
    ...privileged,
    ...resets,
    off: ({ settings }) => {
      settings.ephemeral = false
    },
  },
  'Exec.Environment': {
    ...resets,
    words: 'quoted',
    read: ({ settings }, text) => {
      const assignment = parseFileAssignment(text)
      const others = settings.environment.filter(({ name }) => name !== assignment.name)
      settings.environment = [...others, assignment]
    },
  },
  'Exec.User': resets,
  'Exec.Capability': { ...privileged, ...capabilities },
  'Exec.DropCapability': capabilities,
  'Exec.AmbientCapability': {
    ...privileged,
    ...capabilities,
    strict: (text) => text === 'all',
  },
  'Exec.MachineID': privileged,
  'Exec.PrivateUsers': {
    ...privileged,
    // In files 0 and 1 are booleans, on the command line they are user IDs.
    rewrite: (text) => {
      const truth = booleanWord(text)
      return truth === undefined ? text : truth ? 'yes' : 'no'
    },
  },
  'Exec.PrivateUsersDelegate': privileged,
  'Exec.NoNewPrivileges': resets,
  'Exec.NotifyReady': resets,
  'Exec.SuppressSync': resets,
  'Exec.SystemCallFilter': { empty: 'nothing' },
  'Exec.OOMScoreAdjust': { ...privileged, ...resets },
  'Exec.CPUAffinity': {
    ...privileged,
    ...resets,
    strict: () => true,
    read: (draft, text) => {
      draft.processors = addProcessors(draft.processors, text)
    },
  },
  'Exec.Hostname': resets,
  'Exec.LinkJournal': privileged,
  'Exec.WorkingDirectory': resets,
  'Files.ReadOnly': {
    ...resets,
    off: ({ settings }) => {
      settings.access = 'read-write'
    },
  },
  'Files.Bind': privileged,
  'Files.BindReadOnly': privileged,
  'Files.BindUser': { ...privileged, words: 'plain', empty: 'nothing' },
  'Files.BindUserShell': privileged,
  'Files.TemporaryFileSystem': privileged,
  'Files.Inaccessible': privileged,
  'Files.Overlay': privileged,
  'Files.OverlayReadOnly': privileged,
  'Files.PrivateUsersOwnership': privileged,
  'Files.PrivateUsersChown': {
    ...privileged,
    read: (draft, text) => {
      draft.ownership = parseBoolean(text) ? 'chown' : 'off'
    },
  },
  'Network.Private': {
    ...privileged,
    ...resets,
    off: ({ settings }) => {
      settings.privateNetwork = false
    },
  },
  'Network.VirtualEthernet': {
    ...privileged,
    ...resets,
    off: ({ settings }) => {
      settings.network = { ...settings.network, veth: false }
    },
  },
  'Network.VirtualEthernetExtra': privileged,
  'Network.Interface': interfaces,
  'Network.MACVLAN': interfaces,
  'Network.IPVLAN': interfaces,
  'Network.Bridge': { ...privileged, ...resets },
  'Network.Zone': { ...privileged, ...resets },
  'Network.Port': privileged,
}

/** All but those of the start mode, which decide together (start-mode.ts), in the order of the table. */
export const fileKeys: readonly FileKey[] = options.flatMap((option) =>
  (option.keys ?? [])
    .filter(() => option.group !== 'start-mode')
    .map(([section, key]) => fileKey(section, key, option)),
)

/** By `SECTION.KEY`. */
export const byFileKey: ReadonlyMap<string, FileKey> = new Map(
  fileKeys.map((entry) => [`${entry.section}.${entry.key}`, entry]),
)

function fileKey(section: FileSection, key: string, option: Option): FileKey {
  const manner = manners[`${section}.${key}`] ?? {}
  const limit = option.group === 'resource-limit' ? key.replace(/^Limit/, '') : undefined
  return {
    section,
    key,
    group: limit === undefined ? (option.group ?? `${section}.${key}`) : limitGroup(limit),
    option,
    privileged: manner.privileged ?? limit !== undefined,
    empty: manner.empty,
    words: manner.words,
    strict: manner.strict ?? (() => false),
    read: manner.read ?? optionReader(option, limit === undefined ? manner : limitManner(limit)),
  }
}

function limitManner(name: string): Manner {
  return { rewrite: (text) => `${name}=${text}` }
}

/** Hands the value to the option's reader; options without a value are booleans in files. */
function optionReader(option: Option, { rewrite, off }: Manner): ReadText {
  if (option.value === 'none') {
    return (draft, text) => {
      if (!parseBoolean(text)) off?.(draft)
      else if (option.read === undefined) throw unsupported('this setting', option.instead)
      else option.read(draft)
    }
  }
  return (draft, text, caller) => {
    if (option.read === undefined) throw unsupported('this setting', option.instead)
    option.read(draft, rewrite === undefined ? text : rewrite(text), caller)
  }
}

/** Each resource limit is masked for itself. */
export function limitGroup(name: string): string {
  return `resource-limit ${name}`
}
