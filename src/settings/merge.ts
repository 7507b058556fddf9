/**
 * Where the command line and a `.nspawn` file meet: who says something about a group of settings that counts more
 * silences the other about the whole group (systemd.nspawn(5), systemd-nspawn(1), `--settings=`).
 */
import { NspawnError } from '../errors.ts'
import { emptyDraft, type Draft, type Entry, type ProgramOptions } from './draft.ts'
import type { FileEntry, SettingsFile } from './file/settings-file.ts'
import type { Settings } from './settings.ts'

type Capabilities = Settings['capabilities']

/**
 * One draft of both; what the user should know of the file is among its events.
 *
 * @param file undefined where none was found or wanted
 * @throws NspawnError (`NOT_SUPPORTED`) for a setting of the file that counts and that this version has not
 */
export function merge(
  program: ProgramOptions,
  commandLine: readonly Entry[],
  file: SettingsFile | undefined,
): Draft {
  const draft = emptyDraft()
  Object.assign(draft.program, program)
  if (file === undefined) {
    for (const { apply } of commandLine) apply(draft)
    return draft
  }
  draft.events.push(...file.events)
  const fileWins = program.settingsFile === 'override'
  const said = groupsOf(commandLine)
  const wanted = file.entries.filter(({ group }) => fileWins || !said.has(group))
  const heard =
    file.trusted || program.settingsFile === 'trusted' ? wanted : unprivileged(file, wanted, draft)
  // Capabilities of both add up.
  const silenced = fileWins ? groupsOf(heard) : new Set<string>()
  silenced.delete('capability')
  for (const { group, apply } of commandLine) {
    if (group === undefined || !silenced.has(group)) apply(draft)
  }
  const before = draft.settings.capabilities
  draft.settings.capabilities = { add: [], drop: [], ambient: [] }
  for (const entry of heard) applyEntry(entry, draft)
  const hostNetwork = fileWins && groupsOf(heard).has('network') && !draft.settings.privateNetwork
  draft.settings.capabilities = addedUp(
    hostNetwork ? withoutNetwork(before) : before,
    draft.settings.capabilities,
  )
  return draft
}

function groupsOf(entries: readonly Pick<Entry, 'group'>[]): Set<string> {
  return new Set(entries.flatMap(({ group }) => (group === undefined ? [] : [group])))
}

/** What anybody may say who can put a file beside an image; the rest is passed over with a warning. */
function unprivileged(
  { path }: SettingsFile,
  entries: readonly FileEntry[],
  { events }: Draft,
): FileEntry[] {
  const names = new Set(entries.flatMap(({ privileged }) => privileged ?? []))
  if (names.size > 0) {
    events.push({
      kind: 'warning',
      text: `${path}: ignoring ${[...names].join(', ')}: the file is not trusted`,
      hint: 'use --settings=trusted, or move the file to /etc/systemd/nspawn',
    })
  }
  return entries.filter(({ privileged }) => privileged === undefined)
}

function applyEntry({ origin, apply }: FileEntry, draft: Draft): void {
  try {
    apply(draft)
  } catch (error) {
    if (!(error instanceof NspawnError)) throw error
    throw new NspawnError(`${origin}: ${error.message}`, { code: error.code, hint: error.hint })
  }
}

/** The file's are applied to what the command line leaves: what it adds is there although dropped before. */
function addedUp(first: Capabilities, then: Capabilities): Capabilities {
  const union = (one: readonly string[], other: readonly string[]) => [
    ...new Set([...one, ...other]),
  ]
  const stillDropped = first.drop.filter((name) => !then.add.includes(name))
  return {
    add: union(first.add, then.add),
    drop: union(stillDropped, then.drop),
    ambient: union(first.ambient, then.ambient),
  }
}

/** A file that decides about the network, and for the host's, takes the right to configure it away. */
function withoutNetwork(capabilities: Capabilities): Capabilities {
  return { ...capabilities, add: capabilities.add.filter((name) => name !== 'CAP_NET_ADMIN') }
}
