/** Programs of the new tree itself, in a container of it: package managers, and what finishes a tree. */
import { statSync } from 'node:fs'
import { ephemeralMachineName } from '../images/names.ts'
import { runContainer, type ContainerOutcome } from '../runtime/client.ts'
import { isForeign } from '../runtime/id-map.ts'
import { defaultSettings, type Settings } from '../settings/settings.ts'
import type { CreateContext } from './create-context.ts'
import type { ToolLog } from './tool-log.ts'
import { packageManagerEnvironment, type ToolPlace } from './tools.ts'

/** A tree in the making, and who hears of what is done in it. */
export interface TreeInMaking {
  readonly root: string
  readonly log: ToolLog
  readonly context: CreateContext
  /** What `CommandInTree` says of it goes before. */
  readonly users?: TreeUsers
  /** The programs that it is made with, where they are at hand: they can read what they wrote. */
  readonly tools?: ToolPlace | undefined
}

/**
 * Whom programs run as. `private`: a range of users of its own, that what they write does not belong to; `owners`: the
 * range that the tree's files belong to.
 */
export type TreeUsers = 'host' | 'private' | 'owners'

export interface CommandInTree {
  readonly network: 'host' | 'none'
  /** Default is the tree's, else `host`. */
  readonly users?: TreeUsers
  /** Added to what every package manager gets. */
  readonly environment?: Readonly<Record<string, string>>
  /** Secrets, by the name of their file in $CREDENTIALS_DIRECTORY. */
  readonly credentials?: Readonly<Record<string, string>>
  /** Files and directories of the host that are seen inside. */
  readonly binds?: readonly HostBind[]
  /** `dropped`: it runs on a throw-away copy of the tree; default `kept`. */
  readonly changes?: 'kept' | 'dropped'
  /** `apart` gives it pipes, so that its two streams are told apart; default is a terminal. */
  readonly streams?: 'together' | 'apart'
  /** Hears each line beside the log. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void
}

export interface HostBind {
  readonly source: string
  readonly destination: string
  /** Default `read-only`. */
  readonly access?: 'read-only' | 'read-write'
}

/** Settings of a container of the tree at `root` for these users. */
export function usersOfContainer(
  root: string,
  users: TreeUsers,
): Partial<Pick<Settings, 'privateUsers' | 'ownership'>> {
  switch (users) {
    case 'host':
      return {}
    case 'private':
      // Mounted with its ids mapped, the tree goes on to belong to the host's root.
      return { privateUsers: { mode: 'pick' }, ownership: 'map' }
    case 'owners':
      return isForeign(statSync(root).uid)
        ? { privateUsers: { mode: 'pick' }, ownership: 'foreign' }
        : { privateUsers: { mode: 'owner' }, ownership: 'off' }
  }
}

/**
 * Runs `command` in the tree. Nothing is synced, for that comes when the tree is published.
 *
 * @throws NspawnError when it cannot be started; `CANCELED`
 */
export async function runInTree(
  { root, log, context, users: own }: TreeInMaking,
  command: readonly [string, ...string[]],
  {
    network,
    users = own ?? 'host',
    environment = {},
    credentials = {},
    binds = [],
    changes = 'kept',
    streams = 'together',
    onLine,
  }: CommandInTree,
): Promise<ContainerOutcome> {
  log.add(`+ ${command.join(' ')}`)
  const all = { ...packageManagerEnvironment, ...environment }
  const settings: Settings = {
    ...defaultSettings(),
    root: { kind: 'directory', path: root },
    ephemeral: changes === 'dropped',
    ...(streams === 'apart' ? { console: 'pipe' } : {}),
    command,
    machine: ephemeralMachineName('create'),
    environment: Object.entries(all).map(([name, value]) => ({ name, value })),
    credentials: Object.entries(credentials).map(([name, text]) => ({
      name,
      source: { kind: 'value', base64: Buffer.from(text).toString('base64') },
    })),
    startMode: 'stub-init',
    ...usersOfContainer(root, users),
    suppressSync: true,
    privateNetwork: network === 'none',
    register: 'no',
    keepUnit: true,
    resolvConf: network === 'none' ? 'off' : 'replace-host',
    linkJournal: 'no',
    timezone: 'off',
    quiet: true,
    mounts: binds.map(({ source, destination, access = 'read-only' }) => ({
      kind: 'bind',
      source: { kind: 'host', path: source },
      destination,
      access,
      recursive: false,
      idMap: 'noidmap',
    })),
  }
  return runContainer({
    settings,
    stdio: 'lines',
    onLine: (text, stream) => {
      // Where a program writes over its own line, the last version counts.
      const line = text.slice(text.lastIndexOf('\r', text.length - 2) + 1)
      log.add(line)
      context.log({ kind: 'output', stream, line })
      onLine?.(line, stream)
    },
    signal: context.signal,
  })
}
