/** From settings to a plan: finds and locks the tree, asks for what the container needs on the host, and plans. */
import { statSync } from 'node:fs'
import { NspawnError, usageError } from '../errors.ts'
import type { Image } from '../images/discover.ts'
import { ownerIdRange } from '../images/id-range.ts'
import { ephemeralMachineName, machineNameForRoot } from '../images/names.ts'
import { checkTree } from '../images/os-release.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'
import type { LogSink } from '../log.ts'
import { makePlan, type PlanResult } from '../plan/make-plan.ts'
import type { ImagePlan, RootPlan, UsersPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import { hasUserNamespaces } from '../sys/namespaces.ts'
import type { HostChanges } from './host-changes.ts'
import { findHostUsers } from './host-users.ts'
import { gatherHostFacts } from './host.ts'
import { locateTree, type LocatedTree } from './locate-tree.ts'

export interface ContainerContext {
  readonly log: LogSink
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `--machines-dir=`; undefined leaves it to the environment. */
  readonly machinesDirectory: string | undefined
  /** Whether the payload gets this process's own stdio, which may be a terminal. */
  readonly stdio: 'own' | 'other'
}

/** Everything before the first fork. @throws NspawnError */
export async function prepareContainer(
  settings: Settings,
  context: ContainerContext,
  changes: HostChanges,
): Promise<PlanResult> {
  const tree = await prepareTree(settings, context, changes)
  const users = await prepareUsers(settings, tree.machine, tree.top, changes)
  const hostUsers = await findHostUsers(settings.bindUsers)
  const result = makePlan(settings, gatherHostFacts(context), {
    machine: tree.machine,
    root: tree.root,
    image: tree.image,
    rootAccess: tree.access,
    users,
    hostUsers,
    fallbackUuid: changes.uuid(),
    temporary: changes.temporaryDirectories(users),
    propagateDirectory: changes.propagateDirectory(tree.machine),
  })
  changes.checkNetwork(result.plan)
  changes.overlayWork(result.plan)
  return result
}

interface PreparedTree {
  readonly machine: string
  readonly root: RootPlan
  readonly access: 'read-write' | 'read-only'
  readonly image?: ImagePlan
  /** A directory whose owner tells the tree's id range. */
  readonly top: string
}

async function prepareTree(
  settings: Settings,
  context: ContainerContext,
  changes: HostChanges,
): Promise<PreparedTree> {
  if (settings.root.kind === 'layers') return layeredTree(settings, settings.root)
  const located = locateTree(settings, context.machinesDirectory)
  if (located.kind === 'image') {
    const { prepareImage } = await import('./prepare-image.ts')
    return await prepareImage(settings, located, changes)
  }
  const found = await findTree(settings, located, changes)
  const { path, lookAt } = found
  const throwAway = settings.ephemeral || settings.volatile !== 'no'
  const asked =
    settings.access === 'read-only' || settings.volatile !== 'no' ? 'read-only' : 'read-write'
  const access = found.access === 'read-only' ? 'read-only' : asked
  if (
    path === '/' &&
    !settings.ephemeral &&
    settings.volatile !== 'yes' &&
    settings.volatile !== 'state'
  ) {
    throw usageError(
      'spawning a container on the root directory is not supported',
      'consider --ephemeral, --volatile=yes or --volatile=state',
    )
  }
  const newRoot = settings.pivotRoot?.newRoot ?? '/'
  if (settings.tuning.checkOsTree)
    checkTree(resolveInRoot(lookAt, newRoot), settings.startMode === 'boot' ? 'boot' : 'command')
  const name = settings.machine ?? machineNameForRoot(path, 'directory')
  const machine =
    settings.ephemeral && settings.machine === undefined
      ? ephemeralMachineName(name, changes.suffix())
      : name
  if (settings.tuning.lockImages) {
    changes.lock(path, access === 'read-only' || throwAway ? 'shared' : 'exclusive')
  }
  // Nothing is written to a tree below a volatile layer, so it needs no copy.
  const layered = settings.volatile === 'yes' || settings.volatile === 'overlay'
  if (layered || !settings.ephemeral) {
    const root = rootOf(layered ? resolveInRoot(path, newRoot) : path, settings)
    return { machine, root, access, top: lookAt }
  }
  // What may be written to a copy has nothing to do with what may be written to the tree.
  const copy = await changes.throwAwayCopy(path)
  if (copy.kind === 'overlay') {
    const root: RootPlan = {
      kind: 'overlay',
      layers: [copy.lower],
      upper: { hostPath: copy.upper, workPath: copy.workDirectory },
      sync: 'skip',
    }
    return { machine, root, access: asked, top: copy.lower }
  }
  return { machine, root: rootOf(copy.path, settings), access: asked, top: path }
}

function layeredTree(
  settings: Settings,
  source: Extract<Settings['root'], { kind: 'layers' }>,
): PreparedTree {
  const [bottom] = source.layers
  if (bottom === undefined) throw usageError('a layered root needs at least one layer')
  return {
    machine: settings.machine ?? machineNameForRoot(bottom, 'directory'),
    root: {
      kind: 'overlay',
      layers: source.layers,
      upper:
        settings.volatile === 'overlay'
          ? 'tmpfs'
          : { hostPath: source.upper, workPath: source.workDirectory },
      sync: source.keep ? 'keep' : 'skip',
    },
    access: settings.access,
    top: bottom,
  }
}

function rootOf(path: string, settings: Settings): RootPlan {
  switch (settings.volatile) {
    case 'yes':
      return { kind: 'usr-only', hostPath: path, usr: 'read-only' }
    case 'overlay':
      return { kind: 'overlay', layers: [path], upper: 'tmpfs', sync: 'skip' }
    case 'no':
    case 'state':
      return { kind: 'directory', hostPath: path }
  }
}

interface FoundTree {
  readonly path: string
  /** Where it can be looked at: the template as long as the tree itself is not made. */
  readonly lookAt: string
  readonly access: Image['access']
}

async function findTree(
  settings: Settings,
  { path, access }: LocatedTree,
  changes: HostChanges,
): Promise<FoundTree> {
  const { template } = settings
  const lookAt =
    template === undefined
      ? path
      : await changes.populate(template, path, settings.access, settings.quiet)
  requireThere(lookAt, path)
  return { path, lookAt, access }
}

/** @throws NspawnError `ENOENT` */
export function requireThere(lookAt: string, path: string): void {
  if (statSync(lookAt, { throwIfNoEntry: false }) !== undefined) return
  throw new NspawnError('the root directory does not exist', {
    code: 'ENOENT',
    operation: 'stat',
    subject: path,
    hint: 'name a directory with an OS tree in it; "tsnspawn-build create debian" makes one',
  })
}

async function prepareUsers(
  settings: Settings,
  machine: string,
  top: string,
  changes: HostChanges,
): Promise<UsersPlan | undefined> {
  const { privateUsers, ownership } = settings
  if (privateUsers.mode === 'no') return undefined
  if (!hasUserNamespaces()) {
    if (privateUsers.mode === 'pick' && privateUsers.unsupported === 'skip') return undefined
    throw new NspawnError('--private-users= is not supported, the kernel has no user namespaces', {
      code: 'ENOSYS',
    })
  }
  switch (privateUsers.mode) {
    case 'range':
      return { base: privateUsers.base, length: privateUsers.length, ownership }
    case 'identity':
      return { base: 0, length: 65536, ownership }
    case 'owner':
      return { ...ownerIdRange(top), ownership }
    case 'pick':
      return { ...(await changes.idRange(machine, statSync(top).uid)), ownership }
  }
}
