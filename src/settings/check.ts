/**
 * From a draft to settings: what several options decide together, and which cannot go together. The
 * checks are those of systemd-nspawn, and say the same things.
 */
import { usageError } from '../errors.ts'
import type { Draft } from './draft.ts'
import type { EnvironmentSettings } from './environment.ts'
import type { Ownership, Settings, Tuning } from './settings.ts'
import { defaultCapabilities } from './values/capability.ts'
import { processorNumbers } from './values/cpu-list.ts'
import { parseSignal } from './values/signal.ts'

/**
 * The finished settings; what the user should know besides is added to `draft.events`.
 *
 * @param cwd the caller's directory, the root when nothing else names one
 * @throws NspawnError (`USAGE`) where options contradict each other
 */
export function settle(draft: Draft, environment: EnvironmentSettings, cwd: string): Settings {
  const { settings } = draft
  if (draft.program.cleanUp) settleCleanUp(draft)
  settleRoot(draft, cwd)
  settings.ownership = settleOwnership(draft)
  if (settings.mounts.some(isRootMount)) settings.access = 'read-only'
  if (settings.console === 'pipe') settings.quiet = true
  settings.cpuAffinity = processorNumbers(draft.processors)
  settings.suppressSync = draft.suppressSync ?? environment.suppressSync
  settings.tuning = settleTuning(draft, environment.tuning)
  settleNetwork(settings)
  settleNamespaces(settings)
  settleBundle(settings)
  settleBoot(settings)
  checkAmbientCapabilities(settings)
  checkBindUsers(settings)
  noticeIdleProperties(draft)
  return settings
}

function settleTuning(
  { settings, shareSystem, unlistedNamespaces }: Draft,
  tuning: Tuning,
): Tuning {
  if (shareSystem) return { ...tuning, shared: ['ipc', 'pid', 'uts'] }
  if (settings.bundle === undefined) return tuning
  const unlisted = unlistedNamespaces.filter((name) => name !== 'cgroup')
  return {
    ...tuning,
    shared: [...new Set([...tuning.shared, ...unlisted])],
    cgroupNamespace: tuning.cgroupNamespace && unlisted.length === unlistedNamespaces.length,
    // The tree of a bundle may hold one program and nothing else.
    checkOsTree: false,
  }
}

const isRootMount = (mount: { readonly destination: string }) => mount.destination === '/'

/** What the command line says about the tree. */
export type TreeChoice = Pick<Settings, 'root' | 'template' | 'machine'>

export function chosenTree({ directory, image, settings }: Draft): TreeChoice {
  const { ephemeral, machine, template } = settings
  if (image !== undefined) return { root: { kind: 'image', path: image }, template, machine }
  // A throw-away copy of a template is a throw-away copy of a tree, whatever it is called.
  if (ephemeral && template !== undefined && directory === undefined)
    return { root: { kind: 'directory', path: template }, template: undefined, machine }
  if (directory !== undefined)
    return { root: { kind: 'directory', path: directory }, template, machine }
  if (machine !== undefined) return { root: { kind: 'machine', name: machine }, template, machine }
  return { root: { kind: 'current-directory' }, template, machine }
}

function settleCleanUp({ directory, image, settings }: Draft): void {
  if (settings.ephemeral) throw usageError('--cleanup and --ephemeral may not be combined')
  if (directory === undefined && image === undefined && settings.machine === undefined) {
    throw usageError('--cleanup needs --directory=, --image=, --machine= or --oci-bundle=')
  }
  settings.template = undefined
}

function settleRoot(draft: Draft, cwd: string): void {
  const { settings } = draft
  if (draft.image !== undefined) {
    if (draft.directory !== undefined)
      throw usageError('--directory= and --image= may not be combined')
    if (settings.template !== undefined)
      throw usageError('--template= and --image= may not be combined', 'copy the image instead')
  }
  const { root, template } = chosenTree(draft)
  settings.root = root
  settings.template = template
  if (template !== undefined) {
    if (root.kind === 'current-directory') {
      throw usageError('--template= needs --directory= or --machine=')
    }
    if (settings.ephemeral) throw usageError('--ephemeral and --template= may not be combined')
  }
  const path =
    root.kind === 'current-directory' ? cwd : root.kind === 'directory' ? root.path : undefined
  const sparesRoot =
    settings.ephemeral || settings.volatile === 'yes' || settings.volatile === 'state'
  if (path === '/' && !sparesRoot) {
    throw usageError(
      'running a container on the root directory is not supported',
      'name a tree with --directory= or --machine=, or use --ephemeral, --volatile=yes or --volatile=state',
    )
  }
}

function settleOwnership(draft: Draft): Ownership {
  const { access, mounts, privateUsers, volatile } = draft.settings
  const { mode } = privateUsers
  const ownership = draft.ownership ?? (mode === 'pick' ? 'auto' : 'off')
  if (ownership === 'chown' && access === 'read-only') {
    throw usageError('--read-only and --private-users-ownership=chown may not be combined')
  }
  if (ownership === 'chown' && volatile !== 'no') {
    throw usageError('--volatile= and --private-users-ownership=chown may not be combined')
  }
  if (mode === 'no') return 'off'
  if (mounts.some(isRootMount)) {
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

function settleNetwork(settings: Draft['settings']): void {
  const { network } = settings
  const { namespacePath, bridge, zone, ports, setup } = network
  if (bridge !== undefined && zone !== undefined)
    throw usageError('--network-bridge= and --network-zone= may not be combined')
  const links = [network.interfaces, network.macvlans, network.ipvlans, network.extraVeths]
  const cable = network.veth || bridge !== undefined || zone !== undefined
  const linked = cable || links.some((some) => some.length > 0)
  // Whatever a file says of privacy: who has links has a network of its own.
  if (linked) settings.privateNetwork = true
  if (namespacePath !== undefined && linked)
    throw usageError('--network-namespace-path= cannot be combined with other network options')
  if (ports.length > 0 && !settings.privateNetwork)
    throw usageError('cannot use --port= without private networking', 'add --network-veth')
  if (setup === 'auto' && (bridge !== undefined || (!network.veth && zone === undefined))) {
    throw usageError(
      '--network-setup=auto needs a virtual cable to the host',
      'add --network-veth or --network-zone=',
    )
  }
}

/** What a bundle says of its own and options take back or cannot go with. */
function settleBundle(settings: Draft['settings']): void {
  const { bundle, suppressSync, privateNetwork, tuning } = settings
  if (bundle === undefined) return
  if (bundle.seccomp !== undefined && suppressSync) {
    throw usageError(
      '--suppress-sync= cannot be combined with a system call filter of the bundle',
      'leave linux.seccomp out of it',
    )
  }
  const names = Object.keys(bundle.sysctls)
  const host = names.find((name) => name.startsWith('net.') && !privateNetwork)
  if (host !== undefined)
    throw usageError(`${host} of the bundle would change the host`, 'add --private-network')
  if (names.includes('kernel.domainname') && tuning.shared.includes('uts'))
    throw usageError('the domain name of the bundle would change the host')
}

function settleNamespaces(settings: Draft['settings']): void {
  const { shared } = settings.tuning
  if (shared.includes('pid') || shared.includes('uts')) {
    settings.register = 'no'
    if (settings.startMode !== 'command') {
      const option = settings.startMode === 'boot' ? '--boot' : '--as-pid2'
      throw usageError(`${option} cannot be used without PID and UTS namespaces`)
    }
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

function settleBoot(settings: Draft['settings']): void {
  if (settings.ephemeral && (settings.linkJournal === 'host' || settings.linkJournal === 'guest')) {
    throw usageError(
      `--ephemeral and --link-journal=${settings.linkJournal} may not be combined`,
      `use --link-journal=try-${settings.linkJournal}`,
    )
  }
  if (settings.startMode !== 'boot') return
  if (settings.capabilities.ambient.length > 0) {
    throw usageError('--ambient-capability= is not useful with --boot')
  }
  // systemd(1), "Signals": halt.
  settings.killSignal ??= parseSignal('RTMIN+3')
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

function checkBindUsers({ bindUsers: { names, shell, groups } }: Settings): void {
  if (names.length > 0) return
  const option =
    shell.kind !== 'none' ? '--bind-user-shell=' : groups.length > 0 ? '--bind-user-group=' : ''
  if (option !== '') throw usageError(`${option} may not be used without --bind-user=`)
}

function noticeIdleProperties({ settings, events }: Draft): void {
  if (!settings.keepUnit || (settings.slice === undefined && settings.properties.length === 0))
    return
  events.push({
    kind: 'notice',
    text: '--slice= and --property= have no effect with --keep-unit: no scope unit is made',
  })
}
