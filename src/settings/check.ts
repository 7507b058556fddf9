/**
 * From a draft to settings: what several options decide together, and which cannot go together. The
 * checks are those of systemd-nspawn, and say the same things.
 */
import { usageError } from '../errors.ts'
import type { Draft } from './draft.ts'
import type { EnvironmentSettings } from './environment.ts'
import type { Ownership, RootSource, Settings } from './settings.ts'
import { defaultCapabilities } from './values/capability.ts'

/**
 * The finished settings; what the user should know besides is added to `draft.events`.
 *
 * @param cwd the caller's directory, the root when nothing else names one
 * @throws NspawnError (`USAGE`) where options contradict each other
 */
export function settle(draft: Draft, environment: EnvironmentSettings, cwd: string): Settings {
  const { directory: _directory, shareSystem, program: _program, events, ...rest } = draft
  const tuning: Settings['tuning'] = shareSystem
    ? { ...environment.tuning, shared: ['ipc', 'pid', 'uts'] }
    : environment.tuning
  const withoutNamespaces = tuning.shared.includes('pid') || tuning.shared.includes('uts')
  const settings: Settings = {
    ...rest,
    ...settleRoot(draft, cwd),
    access: draft.mounts.some(isRootMount) ? 'read-only' : draft.access,
    ownership: settleOwnership(draft),
    suppressSync: draft.suppressSync ?? environment.suppressSync,
    register: withoutNamespaces ? 'no' : draft.register,
    quiet: draft.quiet || draft.console === 'pipe',
    tuning,
  }
  checkNamespaces(settings, withoutNamespaces)
  checkAmbientCapabilities(settings)
  if (
    (settings.slice !== undefined || settings.properties.length > 0) &&
    (settings.keepUnit || settings.register === 'no')
  ) {
    const because = settings.keepUnit ? '--keep-unit' : 'no registration'
    events.push({
      kind: 'notice',
      text: `--slice= and --property= have no effect with ${because}: no scope unit is made`,
    })
  }
  return settings
}

const isRootMount = (mount: { readonly destination: string }) => mount.destination === '/'

function settleRoot(draft: Draft, cwd: string): Pick<Settings, 'root' | 'template'> {
  // A throw-away copy of a template is a throw-away copy of a tree, whatever it is called.
  const copiesTemplate =
    draft.ephemeral && draft.template !== undefined && draft.directory === undefined
  const directory = copiesTemplate ? draft.template : draft.directory
  const template = copiesTemplate ? undefined : draft.template
  if (template !== undefined) {
    if (directory === undefined && draft.machine === undefined) {
      throw usageError('--template= needs --directory= or --machine=')
    }
    if (draft.ephemeral) throw usageError('--ephemeral and --template= may not be combined')
  }
  const root: RootSource =
    directory !== undefined
      ? { kind: 'directory', path: directory }
      : draft.machine !== undefined
        ? { kind: 'machine', name: draft.machine }
        : { kind: 'current-directory' }
  const path = root.kind === 'current-directory' ? cwd : directory
  const sparesRoot = draft.ephemeral || draft.volatile === 'yes' || draft.volatile === 'state'
  if (path === '/' && !sparesRoot) {
    throw usageError(
      'running a container on the root directory is not supported',
      'name a tree with --directory= or --machine=, or use --ephemeral, --volatile=yes or --volatile=state',
    )
  }
  return { root, template }
}

function settleOwnership(draft: Draft): Ownership {
  const mode = draft.privateUsers.mode
  const ownership = draft.ownership ?? (mode === 'pick' ? 'auto' : 'off')
  if (ownership === 'chown' && draft.access === 'read-only') {
    throw usageError('--read-only and --private-users-ownership=chown may not be combined')
  }
  if (ownership === 'chown' && draft.volatile !== 'no') {
    throw usageError('--volatile= and --private-users-ownership=chown may not be combined')
  }
  if (mode === 'no') return 'off'
  if (draft.mounts.some(isRootMount)) {
    if (ownership !== 'off') {
      throw usageError(
        `--private-users-ownership=${ownership} may not be combined with custom root mounts`,
        'use --private-users=BASE:COUNT, and give the mounted tree the owners of that range',
      )
    }
    if (mode === 'owner' || mode === 'pick') {
      throw usageError(
        '--private-users with automatic UID shift may not be combined with custom root mounts',
        'use --private-users=BASE:COUNT',
      )
    }
  }
  return ownership
}

function checkNamespaces(settings: Settings, withoutNamespaces: boolean): void {
  if (withoutNamespaces && settings.startMode !== 'command') {
    throw usageError('--as-pid2 cannot be used without PID and UTS namespaces')
  }
  if (settings.privateUsers.mode === 'no') return
  const { apiVfs } = settings.tuning
  if (apiVfs === 'writable') {
    throw usageError(
      'cannot combine --private-users with read-write API file systems',
      'unset $SYSTEMD_NSPAWN_API_VFS_WRITABLE',
    )
  }
  if (apiVfs === 'network-writable' && !settings.privateNetwork) {
    throw usageError(
      'invalid namespacing settings: mounting sysfs with --private-users requires --private-network',
      'add --private-network, or unset $SYSTEMD_NSPAWN_API_VFS_WRITABLE',
    )
  }
}

function checkAmbientCapabilities(settings: Settings): void {
  const { add, drop, ambient } = settings.capabilities
  if (ambient.length === 0) return
  const kept = new Set([...defaultCapabilities(), ...add])
  if (settings.privateNetwork) kept.add('CAP_NET_ADMIN')
  for (const name of drop) kept.delete(name)
  const missing = ambient.filter((name) => !kept.has(name))
  if (missing.length > 0) {
    throw usageError(
      `ambient capabilities that the container does not keep: ${missing.join(', ')}`,
      `add --capability=${missing.join(',')}`,
    )
  }
}
