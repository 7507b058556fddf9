/**
 * One container from settings to its end: finds and locks the tree, prepares what has to be undone, plans,
 * supervises, and releases everything whatever happens.
 */
import { chownSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CleanupStack } from '../cleanup.ts'
import { NspawnError, usageError } from '../errors.ts'
import { requireImage, type Image } from '../images/discover.ts'
import { prepareEphemeral } from '../images/ephemeral.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../images/hidden-tree.ts'
import { ownerIdRange, pickIdRange } from '../images/id-range.ts'
import { lockImage } from '../images/lock.ts'
import { ephemeralMachineName, machineNameForRoot } from '../images/names.ts'
import { checkTree } from '../images/os-release.ts'
import { randomBytes, randomSuffix } from '../images/random-suffix.ts'
import { removeTree } from '../images/remove-tree.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'
import type { LogSink } from '../log.ts'
import { machinesDirectory, runtimeDirectory } from '../paths.ts'
import type { TemporaryDirectories } from '../plan/custom-mounts.ts'
import { makePlan, type PlanResult } from '../plan/make-plan.ts'
import type { ContainerPlan, RootPlan, UsersPlan } from '../plan/plan.ts'
import type { Settings } from '../settings/settings.ts'
import { hasUserNamespaces } from '../sys/namespaces.ts'
import { placeLeader } from './cgroup.ts'
import { gatherHostFacts } from './host.ts'
import { makePropagateDirectory } from './propagate.ts'
import { serviceManager } from './service-manager.ts'
import { superviseContainer, type ContainerEnd } from './supervisor.ts'

export interface ContainerContext {
  readonly log: LogSink
  readonly environment: Readonly<Record<string, string | undefined>>
  /** `--machines-dir=`; undefined leaves it to the environment. */
  readonly machinesDirectory: string | undefined
}

/** How a container ended, with what was planned for it. */
export interface FinishedContainer {
  readonly end: ContainerEnd
  readonly plan: ContainerPlan
}

const TEMPORARY_DIRECTORY = '/var/tmp'

/** Plans and runs one container. @throws NspawnError when it could not be started */
export async function runContainerHere(
  settings: Settings,
  context: ContainerContext,
): Promise<FinishedContainer> {
  await using cleanup = new CleanupStack()
  const { plan, warnings } = await prepareContainer(settings, context, cleanup)
  for (const text of warnings) context.log({ kind: 'warning', text })
  announce(plan, settings, context.log)
  const rootPlace = join(runtimeDirectory(), 'root')
  mkdirSync(rootPlace, { recursive: true, mode: 0o755 })
  const manager = serviceManager(context.environment['NOTIFY_SOCKET'])
  const end = await superviseContainer(plan, {
    log: context.log,
    serviceManager: manager,
    rootPlace,
    onLeader: (pid) => placeLeader(plan, pid, cleanup),
  })
  manager('STOPPING=1', 'STATUS=Terminating...')
  return { end, plan }
}

function announce(plan: ContainerPlan, settings: Settings, log: LogSink): void {
  if (settings.quiet) return
  log({ kind: 'notice', text: `Spawning container ${plan.machine} on ${describeRoot(plan.root)}.` })
  if (plan.console === 'interactive') {
    log({ kind: 'notice', text: 'Press ^] three times within 1s to kill container.' })
  }
}

function describeRoot(root: RootPlan): string {
  return root.kind === 'overlay' ? (root.layers[0] as string) : root.hostPath
}

/** Everything before the first fork; each thing acquired is registered with `cleanup`. */
export async function prepareContainer(
  settings: Settings,
  context: ContainerContext,
  cleanup: CleanupStack,
): Promise<PlanResult> {
  if (process.getuid?.() !== 0) {
    throw new NspawnError('need to be root', { code: 'NOT_ROOT', hint: 'run it with sudo' })
  }
  const tree = await prepareTree(settings, context, cleanup)
  const users = await prepareUsers(settings, tree.machine, tree.top, cleanup)
  const { temporary, registerOverlayWork } = temporaryDirectories(context, users, cleanup)
  const result = makePlan(settings, gatherHostFacts(context.environment), {
    machine: tree.machine,
    root: tree.root,
    rootAccess: tree.access,
    users,
    fallbackUuid: randomUuid(),
    bootId: readFileSync('/proc/sys/kernel/random/uuid', 'latin1').trim(),
    temporary,
    propagateDirectory: makePropagateDirectory(tree.machine, cleanup),
  })
  registerOverlayWork(result.plan)
  return result
}

interface PreparedTree {
  readonly machine: string
  readonly root: RootPlan
  readonly access: 'read-write' | 'read-only'
  /** A directory whose owner tells the tree's id range. */
  readonly top: string
}

async function prepareTree(
  settings: Settings,
  context: ContainerContext,
  cleanup: CleanupStack,
): Promise<PreparedTree> {
  if (settings.root.kind === 'layers') return layeredTree(settings, settings.root)
  const found = await findTree(settings, context)
  const { path } = found
  const throwAway = settings.ephemeral || settings.volatile !== 'no'
  const access =
    settings.access === 'read-only' || found.access === 'read-only' || settings.volatile !== 'no'
      ? 'read-only'
      : 'read-write'
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
  if (settings.tuning.checkOsTree)
    checkTree(path, settings.startMode === 'boot' ? 'boot' : 'command')
  const name = settings.machine ?? machineNameForRoot(path, 'directory')
  const machine =
    settings.ephemeral && settings.machine === undefined ? ephemeralMachineName(name) : name
  if (settings.tuning.lockImages) {
    const lock = lockImage(path, access === 'read-only' || throwAway ? 'shared' : 'exclusive')
    cleanup.defer(`lock of ${path}`, () => lock.release())
  }
  if (!settings.ephemeral) return { machine, root: rootOf(path, settings), access, top: path }
  const copy = await prepareEphemeral(path, { log: context.log }, cleanup)
  if (copy.kind === 'overlay') {
    const root: RootPlan = {
      kind: 'overlay',
      layers: [copy.lower],
      upper: { hostPath: copy.upper, workPath: copy.workDirectory },
      sync: 'skip',
    }
    return { machine, root, access: settings.access, top: copy.lower }
  }
  return { machine, root: rootOf(copy.path, settings), access, top: copy.path }
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
      upper: { hostPath: source.upper, workPath: source.workDirectory },
      sync: source.keep ? 'keep' : 'skip',
    },
    access: settings.access,
    top: bottom,
  }
}

function rootOf(path: string, settings: Settings): RootPlan {
  switch (settings.volatile) {
    case 'yes':
      return { kind: 'usr-only', hostPath: path }
    case 'overlay':
      return { kind: 'overlay', layers: [path], upper: 'tmpfs', sync: 'skip' }
    case 'no':
    case 'state':
      return { kind: 'directory', hostPath: path }
  }
}

/** systemd-nspawn(1): `--directory=`, else the image of `--machine=`, else the current directory. */
async function findTree(
  settings: Settings,
  context: ContainerContext,
): Promise<{ path: string; access: Image['access'] }> {
  const { root, template } = settings
  if (root.kind === 'directory' || root.kind === 'current-directory' || template !== undefined) {
    const path =
      root.kind === 'directory'
        ? root.path
        : root.kind === 'machine'
          ? join(machinesDirectory(context.machinesDirectory), root.name)
          : process.cwd()
    if (template !== undefined) await populate(path, template, settings, context.log)
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new NspawnError('the root directory does not exist', {
        code: 'ENOENT',
        operation: 'stat',
        subject: path,
        hint: 'name a directory with an OS tree in it; "tsnspawn-build create debian" makes one',
      })
    }
    return { path, access: 'read-write' }
  }
  const image = requireImage((root as { name: string }).name, context.machinesDirectory)
  if (image.type === 'raw' || image.type === 'block') {
    throw new NspawnError('disk images cannot be run by this version', {
      code: 'NOT_SUPPORTED',
      subject: image.path,
      hint: 'use a directory tree',
    })
  }
  return { path: image.path, access: image.access }
}

async function populate(
  path: string,
  template: string,
  settings: Settings,
  log: LogSink,
): Promise<void> {
  const { populateFromTemplate } = await import('../images/template.ts')
  const how = await populateFromTemplate({ template, target: path, access: settings.access, log })
  if (settings.quiet) return
  log({
    kind: 'notice',
    text:
      how === 'exists'
        ? `Directory ${path} already exists, not populating from template ${template}.`
        : `Populated ${path} from template ${template}.`,
  })
}

async function prepareUsers(
  settings: Settings,
  machine: string,
  top: string,
  cleanup: CleanupStack,
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
    case 'pick': {
      const range = await pickIdRange(machine, statSync(top).uid)
      cleanup.defer('id range', () => range.release())
      return { base: range.base, length: range.length, ownership }
    }
  }
}

function temporaryDirectories(
  context: ContainerContext,
  users: UsersPlan | undefined,
  cleanup: CleanupStack,
): { temporary: TemporaryDirectories; registerOverlayWork: (plan: ContainerPlan) => void } {
  let swept = false
  const temporary: TemporaryDirectories = {
    next: () => {
      if (!swept) removeStaleHiddenTrees(TEMPORARY_DIRECTORY, context.log)
      swept = true
      const hidden = claimHiddenTree(TEMPORARY_DIRECTORY, 'temp')
      cleanup.defer('temporary directory', hidden.remove)
      const path = join(hidden.path, 'src')
      mkdirSync(path, { recursive: true, mode: 0o755 })
      if (users !== undefined) chownSync(path, users.base, users.base)
      return path
    },
    workName: (upper) => `.#${basename(upper)}${randomSuffix()}`,
  }
  return { temporary, registerOverlayWork: (plan) => registerWork(plan, cleanup) }
}

/** The outer child makes overlay work directories on the way; they lie beside the upper, on the host or in the tree. */
function registerWork(plan: ContainerPlan, cleanup: CleanupStack): void {
  for (const step of plan.outer) {
    if (step.kind !== 'overlay' || step.upper === undefined) continue
    const { source, workName } = step.upper
    cleanup.defer(`work directory ${workName}`, () => {
      const parent =
        source.kind === 'host'
          ? join(source.hostPath, '..')
          : plan.root.kind === 'directory'
            ? resolveInRoot(plan.root.hostPath, join(source.path, '..'), 'allow')
            : undefined
      if (parent !== undefined) removeTree(join(parent, workName))
    })
  }
}

/** A random 128-bit ID marked as a version 4 UUID, as sd_id128_randomize(3) makes them. */
function randomUuid(): string {
  const bytes = randomBytes(16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return bytes.toString('hex')
}
