/**
 * An OCI runtime bundle as a third reader of settings, beside the command line and `.nspawn` files: its
 * `config.json` becomes the entries that `merge.ts` weighs against the command line. Who names a bundle trusts it.
 *
 * In: the bytes of `config.json`. Out: entries by group, none of which can fail.
 *
 * @see https://github.com/opencontainers/runtime-spec; docs/oci.md
 */
import { basename } from 'node:path'
import { isMachineName } from '../../machine-name.ts'
import type { Draft } from '../draft.ts'
import type { FileEntry, SettingsFile } from '../file/settings-file.ts'
import type { SettingsGroup } from '../option.ts'
import type { BundleSettings, Hook } from '../settings.ts'
import { absolutePath } from '../values/path.ts'
import { badBundle, parseConfig, type BundleText } from './config.ts'
import { linuxEntries } from './linux.ts'
import { readMounts } from './mounts.ts'
import { processEntries } from './process.ts'
import type { Config } from './schema.ts'

/** What each part of the configuration adds to. */
export interface Reading {
  readonly config: Config
  readonly text: BundleText
  /** One thing that is said, about one field. */
  readonly say: (group: SettingsGroup | undefined, field: string, apply: FileEntry['apply']) => void
  /** The same of what no option says. */
  readonly add: (
    group: SettingsGroup | undefined,
    field: string,
    part: Partial<BundleSettings>,
  ) => void
  readonly warn: (text: string) => void
}

/** @throws NspawnError `BAD_BUNDLE`, `NOT_SUPPORTED` */
export function parseBundle(text: BundleText): SettingsFile {
  const config = parseConfig(text)
  const entries: FileEntry[] = []
  const events: SettingsFile['events'][number][] = []
  const say: Reading['say'] = (group, field, apply) => {
    const origin = `${text.path}: ${field}`
    // What no option is about has a group that nobody masks.
    entries.push({ group: group ?? field, origin, privileged: undefined, apply })
  }
  const add: Reading['add'] = (group, field, part) =>
    say(group, field, ({ settings }) => {
      settings.bundle = { ...(settings.bundle as BundleSettings), ...part }
    })
  const warn = (what: string) => events.push({ kind: 'warning', text: `${text.path}: ${what}` })
  const reading = { config, text, say, add, warn }
  sayWhatBundlesAre(reading)
  processEntries(reading)
  linuxEntries(reading)
  return { path: text.path, trusted: true, entries, events }
}

/** What holds of every bundle, and what concerns the whole of one. */
function sayWhatBundlesAre({ config, text, say }: Reading): void {
  const { root, hostname, domainname } = config
  say(undefined, 'bundle', ({ settings }) => {
    settings.bundle = emptyBundle(config, text)
    const name = basename(text.directory)
    if (isMachineName(name)) settings.machine ??= name
  })
  // Such a tree is made ready by whoever made the bundle.
  say('resolv-conf', 'bundle', ({ settings }) => (settings.resolvConf = 'off'))
  say('timezone', 'bundle', ({ settings }) => (settings.timezone = 'off'))
  say('link-journal', 'bundle', ({ settings }) => (settings.linkJournal = 'no'))
  if (root === undefined) throw badBundle(text.path, ['root'], 'it is missing')
  say('directory', 'root.path', (draft: Draft) => {
    draft.directory = absolutePath(root.path, text.directory)
  })
  if (root.readonly !== undefined) {
    const access = root.readonly ? 'read-only' : 'read-write'
    say('read-only', 'root.readonly', ({ settings }) => (settings.access = access))
  }
  const ownNames = config.linux?.namespaces?.some(({ type }) => type === 'uts') ?? true
  for (const [field, name] of Object.entries({ hostname, domainname })) {
    if (name !== undefined && !ownNames)
      throw badBundle(text.path, [field], 'it needs a uts namespace in linux.namespaces')
  }
  if (hostname !== undefined) {
    if (!isMachineName(hostname))
      throw badBundle(text.path, ['hostname'], `invalid host name ${JSON.stringify(hostname)}`)
    say('hostname', 'hostname', ({ settings }) => (settings.hostname = hostname))
  }
  const mounts = readMounts(config, text)
  say('custom-mounts', 'mounts', ({ settings }) => {
    settings.mounts = [...settings.mounts, ...mounts]
  })
}

function emptyBundle(
  { ociVersion, annotations, hooks = {} }: Config,
  text: BundleText,
): BundleSettings {
  const read = (name: keyof typeof hooks): Hook[] =>
    (hooks[name] ?? []).map(({ path, args, env, timeout }) => ({
      path,
      argv: args === undefined || args.length === 0 ? [path] : args,
      environment: env ?? [],
      timeoutSeconds: timeout,
    }))
  return {
    path: text.directory,
    version: ociVersion,
    annotations: annotations ?? {},
    hooks: {
      prestart: read('prestart'),
      createRuntime: read('createRuntime'),
      startContainer: read('startContainer'),
      poststart: read('poststart'),
      poststop: read('poststop'),
    },
    devices: [],
    sysctls: {},
  }
}
