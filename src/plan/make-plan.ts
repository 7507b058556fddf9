/** Settings and facts become the plan of one container. Pure: no root needed, nothing is touched. */
import { join } from 'node:path'
import { usageError } from '../errors.ts'
import type { Settings } from '../settings/settings.ts'
import { bindUserSteps, type HostUser } from './bind-users.ts'
import {
  bundleCapabilities,
  bundleDevices,
  bundleParts,
  bundleSeccomp,
  bundleSysctls,
} from './bundle.ts'
import { deviceSteps, innerMounts, isSealed, outerMounts } from './api-mounts.ts'
import { capabilitySets, keptCapabilities } from './capabilities.ts'
import {
  belongsToInner,
  customMountStep,
  sortCustomMounts,
  type TemporaryDirectories,
} from './custom-mounts.ts'
import type { HostFacts } from './host-facts.ts'
import { decideResolvConf, decideTimezone, resolvConfSource } from './identity.ts'
import { planLimits } from './limits.ts'
import { CREDENTIALS_DIRECTORY, planPayload } from './payload.ts'
import {
  treeOfRoot,
  type CgroupPlan,
  type ContainerPlan,
  type RegistrationPlan,
  type RootPlan,
  type Step,
  type ImagePlan,
  type UsersPlan,
} from './plan.ts'
import { limitProperties } from './limit-properties.ts'
import { planNetwork } from './network.ts'
import { assembleSeccomp } from './seccomp/assemble.ts'

/** What the supervisor found out or acquired before it can plan. */
export interface PreparedContainer {
  readonly machine: string
  readonly root: RootPlan
  /** Undefined for a tree. */
  readonly image?: ImagePlan | undefined
  /** Of the tree itself: a read-only image or subvolume makes it so. */
  readonly rootAccess: 'read-write' | 'read-only'
  /** Undefined without `--private-users`. */
  readonly users: UsersPlan | undefined
  /** 32 hexadecimal digits, for trees without a machine ID. */
  readonly fallbackUuid: string
  readonly temporary: TemporaryDirectories
  /** The users of `--bind-user=`. */
  readonly hostUsers: readonly HostUser[]
  /** The host directory that machined moves mounts in through. */
  readonly propagateDirectory: string | undefined
}

export interface PlanResult {
  readonly plan: ContainerPlan
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[]
}

export function makePlan(
  settings: Settings,
  facts: HostFacts,
  prepared: PreparedContainer,
): PlanResult {
  const base = prepared.users?.base ?? 0
  const warnings: string[] = []
  const { kept, missing } = keptCapabilities(settings, {
    userNamespace: prepared.users !== undefined,
    privateNetwork: settings.privateNetwork,
    hostBounding: facts.boundingSet,
  })
  const asked = missing.filter((name) => settings.capabilities.add.includes(name))
  if (asked.length > 0) {
    warnings.push(
      `not in the current bounding set, so the container does not get them: ${asked.join(' ')}`,
    )
  }
  const custom = sortCustomMounts(settings.mounts.filter((mount) => !isSealed(mount, settings)))
  const step = (mount: (typeof custom)[number]) => customMountStep(mount, base, prepared.temporary)
  const payload = planPayload(settings, facts)
  const { bundle } = settings
  const explicit = bundle && bundleCapabilities(bundle, facts, prepared.users !== undefined)
  const seccomp = bundleSeccomp(settings, facts)
  const last = seccomp !== undefined && settings.noNewPrivileges
  warnings.push(...unheldDevices(settings, facts))
  checkSelinux(settings, facts)
  checkScope(settings, facts)
  const label = (steps: readonly Step[]) => labelMounts(steps, settings.selinux.apifsContext)
  const plan: ContainerPlan = {
    machine: prepared.machine,
    hostname: settings.hostname ?? prepared.machine,
    fallbackUuid: settings.uuid ?? prepared.fallbackUuid,
    root: prepared.root,
    ...(prepared.image === undefined ? {} : { image: prepared.image }),
    rootAccess: prepared.rootAccess,
    pivotRoot: pivotedRoot(settings),
    users: prepared.users,
    namespaces: plannedNamespaces(settings, facts),
    outer: label([
      ...volatileSteps(settings, base),
      { kind: 'base-filesystem' },
      ...(bundle === undefined ? rootAccessSteps(settings, prepared) : []),
      ...outerMounts(settings, facts, base),
      ...hostCgroupSteps(settings, facts),
      ...deviceSteps(facts, base),
      ...bundleDevices(settings, facts),
      ...hostDirectorySteps(settings, prepared, payload.user),
      ...custom.filter((mount) => !belongsToInner(mount)).map(step),
      ...identitySteps(settings, facts, prepared.rootAccess),
      ...journalSteps(settings, facts, prepared),
      // The tree of a bundle often lacks the places to mount at.
      ...(bundle === undefined ? [] : rootAccessSteps(settings, prepared, 'one')),
    ]),
    receiveOnly: prepared.propagateDirectory === undefined ? [] : ['/run/host/incoming'],
    inner: innerMounts(settings, bundleSysctls(settings)),
    innerCustom: label(custom.filter(belongsToInner).map(step)),
    cgroup: planCgroup(settings, facts),
    maskKernelLog: settings.tuning.apiVfs !== 'writable',
    loopbackUp: settings.privateNetwork && settings.network.namespacePath === undefined,
    ...plannedNetwork(settings, facts, prepared.machine),
    console: decideConsole(settings, facts),
    ...bundleParts(settings),
    background: settings.background,
    stubInit: settings.startMode === 'stub-init',
    payload,
    capabilities:
      explicit ??
      capabilitySets(kept, settings.capabilities.ambient, isRoot(payload) ? 'root' : 'other-user'),
    noNewPrivileges: settings.noNewPrivileges,
    selinuxContext: settings.selinux.context,
    selinuxApifsContext: settings.selinux.apifsContext,
    seccomp: last
      ? []
      : (seccomp ??
        assembleSeccomp({
          architecture: facts.architecture,
          capabilities: explicit?.bounding ?? kept,
          filter: settings.systemCallFilter,
          suppressSync: settings.suppressSync,
          mode: facts.seccomp ? settings.tuning.seccomp : 'off',
        })),
    ...(last ? { lastSeccomp: seccomp } : {}),
    limits: planLimits(settings.resourceLimits, facts),
    oomScoreAdjust: settings.oomScoreAdjust,
    cpuAffinity: settings.cpuAffinity,
    personality: plannedPersonality(settings, facts),
    killSignal: settings.killSignal,
    passedDescriptors: facts.passedDescriptors,
    notifyReady: settings.notifyReady,
    keepUnit: settings.keepUnit,
    registration: planRegistration(settings, facts),
    ...openedFiles(settings, prepared),
    quiet: settings.quiet,
  }
  return { plan, warnings }
}

const isRoot = ({ user, ids }: ContainerPlan['payload']): boolean =>
  ids === undefined ? user === undefined : ids.uid === 0

function planRegistration(settings: Settings, facts: HostFacts): RegistrationPlan {
  const limits = limitsBySystemd(settings, facts)
  const inits = { command: 'payload', 'stub-init': 'stub', boot: 'tree' } as const
  return {
    mode: settings.register,
    service: settings.tuning.containerService,
    init: inits[settings.startMode],
    id: settings.uuid,
    slice: settings.slice ?? 'machine.slice',
    scope: asksForScope(settings) || limits.length > 0 ? 'required' : 'optional',
    properties: [...settings.properties, ...limits],
  }
}

/** Where systemd owns the only hierarchy, limits are properties of a scope (systemd.resource-control(5)). */
function limitsBySystemd({ resourceControl }: Settings, facts: HostFacts): readonly string[] {
  if (resourceControl === undefined || !systemdLimits(facts)) return []
  return limitProperties(resourceControl)
}

/** Nothing but a scope of systemd or a hierarchy of version 1 holds a container to a list of devices. */
function unheldDevices({ resourceControl }: Settings, { cgroup, systemd }: HostFacts): string[] {
  const held =
    resourceControl?.devices === undefined ||
    systemd ||
    cgroup.hierarchies.some(({ controllers }) => controllers.includes('devices'))
  if (held) return []
  return ['nothing on this host holds the container to its list of devices; leave out CAP_MKNOD']
}

const systemdLimits = ({ systemd, cgroup }: HostFacts) => systemd && cgroup.layout === 'unified'

const asksForScope = ({ slice, properties, keepUnit }: Settings) =>
  !keepUnit && (slice !== undefined || properties.length > 0)

/** A limit that would not hold is no limit. */
function checkScope(settings: Settings, facts: HostFacts): void {
  if (facts.systemd || !asksForScope(settings)) return
  const [property] = settings.properties
  const option = property === undefined ? `--slice=${settings.slice}` : `--property=${property}`
  throw usageError(
    `${option} needs systemd, which this host does not run`,
    'leave it out, or stay in the unit of the caller with --keep-unit',
  )
}

/** Nothing but the kernel could make sense of a label, and one without SELinux would not look at it. */
function checkSelinux({ selinux }: Settings, facts: HostFacts): void {
  if (facts.selinux) return
  const [option, label] =
    selinux.context === undefined
      ? (['--selinux-apifs-context=', selinux.apifsContext] as const)
      : (['--selinux-context=', selinux.context] as const)
  if (label === undefined) return
  throw usageError(`${option}${label} needs SELinux, which this host has not`, 'leave it out')
}

const labeledFileSystems = new Set(['tmpfs', 'devpts'])

/** systemd-nspawn(1), `--selinux-apifs-context=`; quoted, since categories are separated by commas. */
function labelMounts(steps: readonly Step[], label: string | undefined): Step[] {
  return steps.map((step) => {
    if (label === undefined || step.kind !== 'mount' || !labeledFileSystems.has(step.fstype))
      return step
    const options = [...(step.options === undefined ? [] : [step.options]), `context="${label}"`]
    return { ...step, options: options.join(',') }
  })
}

function plannedNamespaces(settings: Settings, facts: HostFacts): ContainerPlan['namespaces'] {
  const shared = new Set<string>(settings.tuning.shared)
  const always = (['pid', 'uts', 'ipc'] as const).filter((name) => !shared.has(name))
  return [
    ...always,
    ...(settings.privateUsers.mode === 'no' ? [] : (['user'] as const)),
    ...(settings.privateNetwork && settings.network.namespacePath === undefined
      ? (['net'] as const)
      : []),
    ...(facts.cgroup.namespaces && settings.tuning.cgroupNamespace ? (['cgroup'] as const) : []),
  ]
}

function linksOf({
  interfaces,
  macvlans,
  ipvlans,
  extraVeths,
  ...rest
}: Settings['network']): boolean {
  const { veth, bridge, zone } = rest
  const listed = [interfaces, macvlans, ipvlans, extraVeths].some((some) => some.length > 0)
  return listed || veth || bridge !== undefined || zone !== undefined
}

function plannedNetwork(
  { network, tuning, privateNetwork }: Settings,
  { machineId }: HostFacts,
  machine: string,
): Pick<ContainerPlan, 'network' | 'networkNamespace'> {
  const { namespacePath } = network
  if (!privateNetwork && (linksOf(network) || network.ports.length > 0))
    throw usageError('links and forwarded ports need a network of the container’s own')
  const plan = planNetwork(network, { machine, machineId, mac: tuning.networkMac })
  return {
    ...(namespacePath === undefined ? {} : { networkNamespace: namespacePath }),
    ...(plan === undefined ? {} : { network: plan }),
  }
}

/** Where a throw-away layer covers the root, the layer begins at the new root already. */
function pivotedRoot({ pivotRoot, volatile }: Settings): Settings['pivotRoot'] {
  return volatile === 'yes' || volatile === 'overlay' ? undefined : pivotRoot
}

/** `--volatile=state` covers /var; the other modes are a matter of the root. */
function volatileSteps(settings: Settings, base: number): Step[] {
  if (settings.volatile !== 'state') return []
  const owner = base === 0 ? '' : `,uid=${base},gid=${base}`
  return [
    {
      kind: 'mount',
      fstype: 'tmpfs',
      target: '/var',
      flags: ['strictatime'],
      options: `mode=0755,size=25%,nr_inodes=1m${owner}`,
      create: 'directory',
      existing: 'cover',
      onFailure: 'fail',
    },
  ]
}

/** Without a cgroup namespace the container sees the host's groups, and may change none of them. */
function hostCgroupSteps(settings: Settings, facts: HostFacts): Step[] {
  const { layout, namespaces } = facts.cgroup
  if (layout === 'none' || (namespaces && settings.tuning.cgroupNamespace)) return []
  return [
    {
      kind: 'bind',
      source: { kind: 'host', hostPath: '/sys/fs/cgroup' },
      target: '/sys/fs/cgroup',
      depth: 'recursive',
      access: 'read-only',
      flags: ['ro', 'nosuid', 'noexec', 'nodev'],
      idMap: 'noidmap',
      create: 'as-source',
      onFailure: 'fail',
    },
  ]
}

/** With a read-only root the tmpfs of `--volatile=state` stays writable: it is a mount of its own. So does a root in memory. */
function rootAccessSteps(
  settings: Settings,
  prepared: PreparedContainer,
  depth: 'one' | 'recursive' = settings.volatile === 'state' ? 'one' : 'recursive',
): Step[] {
  const { root, rootAccess } = prepared
  const inMemory = root.kind === 'usr-only' || (root.kind === 'overlay' && root.upper === 'tmpfs')
  if (rootAccess === 'read-write' || inMemory) return []
  return [{ kind: 'remount', target: '/', flags: ['ro'], depth, onFailure: 'fail' }]
}

function hostDirectorySteps(
  settings: Settings,
  prepared: PreparedContainer,
  user: string | undefined,
): Step[] {
  const steps: Step[] = [{ kind: 'inaccessible-nodes' }]
  if (prepared.propagateDirectory !== undefined) {
    steps.push(
      { kind: 'directory', path: '/run/host/incoming', mode: 0o600 },
      {
        kind: 'bind',
        source: { kind: 'host', hostPath: prepared.propagateDirectory },
        target: '/run/host/incoming',
        depth: 'one',
        access: 'read-only',
        flags: ['ro'],
        idMap: 'noidmap',
        create: 'no',
        onFailure: 'fail',
      },
    )
  }
  steps.push(
    ...credentialSteps(settings, user),
    ...bindUserSteps(settings.bindUsers, prepared.hostUsers),
    { kind: 'identity-files', service: settings.tuning.containerService },
    { kind: 'notify-socket', path: '/run/host/notify' },
  )
  return steps
}

/** systemd-nspawn(1), `--load-credential=`: a payload that cannot gain root any more may read them itself. */
function credentialSteps(settings: Settings, user: string | undefined): Step[] {
  const { credentials, credentialReaders, noNewPrivileges, startMode } = settings
  if (credentials.length === 0) return []
  const neverRoot = user !== undefined && noNewPrivileges && startMode === 'command'
  return [
    {
      kind: 'credentials',
      path: CREDENTIALS_DIRECTORY,
      names: credentials.map(({ name }) => name),
      readers: neverRoot ? 'everybody' : (credentialReaders ?? 'root'),
    },
  ]
}

function identitySteps(
  settings: Settings,
  facts: HostFacts,
  tree: PreparedContainer['rootAccess'],
): Step[] {
  const timezone = decideTimezone(settings, facts, tree)
  const resolvConf = decideResolvConf(settings, facts, tree)
  return [
    ...(timezone === 'off' ? [] : [{ kind: 'timezone', mode: timezone } as const]),
    ...(resolvConf === 'off'
      ? []
      : [
          {
            kind: 'resolv-conf',
            mode: resolvConf,
            hostPath: resolvConfSource(resolvConf),
          } as const,
        ]),
  ]
}

/** systemd-nspawn(1), `--link-journal=`. What is thrown away with its tree leaves no journal. */
function journalSteps(
  settings: Settings,
  facts: HostFacts,
  { root, image }: PreparedContainer,
): Step[] {
  const { linkJournal } = settings
  if (linkJournal === 'no' || settings.ephemeral || settings.root.kind === 'layers') return []
  const mode = linkJournal.replace('try-', '') as 'auto' | 'guest' | 'host'
  if (image !== undefined && mode !== 'host') {
    if (linkJournal !== 'guest') return []
    throw usageError(
      '--link-journal=guest needs a tree: nobody sees the journal in a disk image from outside',
      'use --link-journal=host',
    )
  }
  return [
    {
      kind: 'link-journal',
      mode,
      tree: join(treeOfRoot(root), pivotedRoot(settings)?.newRoot ?? '/').replace(/(?<=.)\/$/, ''),
      hostMachineId: facts.machineId,
      onFailure: mode === linkJournal && mode !== 'auto' ? 'fail' : 'skip',
    },
  ]
}

function planCgroup(settings: Settings, facts: HostFacts): CgroupPlan {
  const { layout, hierarchies, namespaces } = facts.cgroup
  const { unifiedCgroup } = settings.tuning
  return {
    host: layout,
    // An init that rules over control groups must not rule over those of the caller.
    group: keepsGroup(settings, layout) ? 'caller' : 'own',
    container:
      unifiedCgroup === true
        ? 'unified'
        : settings.startMode === 'stub-init'
          ? 'as-host'
          : 'by-tree',
    namespace: namespaces && settings.tuning.cgroupNamespace,
    hierarchies,
    limits: systemdLimits(facts) ? undefined : settings.resourceControl,
  }
}

/** In a unified hierarchy limits need a group of the container's own. */
function keepsGroup(
  { keepUnit, startMode, resourceControl }: Settings,
  layout: HostFacts['cgroup']['layout'],
): boolean {
  const limited = resourceControl !== undefined && layout === 'unified'
  return keepUnit && startMode !== 'boot' && !limited
}

function decideConsole(settings: Settings, facts: HostFacts): ContainerPlan['console'] {
  const onTerminal = facts.stdin === 'terminal' && facts.stdout === 'terminal'
  if (settings.console === 'autopipe') return onTerminal ? 'interactive' : 'pipe'
  return settings.console ?? (onTerminal ? 'interactive' : 'read-only')
}

/** PER_LINUX for the host's own architecture, PER_LINUX32 for its 32-bit sibling (personality(2)). */
function plannedPersonality(settings: Settings, facts: HostFacts): number | undefined {
  const { personality } = settings
  if (personality === undefined) return undefined
  if (personality === facts.architecture || personality === 'host') return 0
  if (personality === 'host-32-bit') return 8
  if (personality === (facts.architecture === 'arm64' ? 'arm' : 'x86')) return 8
  throw usageError(`this host cannot give the personality ${personality}`)
}

/** Only the child of a container with users of its own waits with an assembled root. */
function openedFiles(
  { openedFiles: path }: Settings,
  { users }: Pick<PreparedContainer, 'users'>,
): Pick<ContainerPlan, 'openedFiles'> {
  if (path === undefined) return {}
  if (users === undefined)
    throw usageError('which files are opened can be seen only with users of its own')
  return { openedFiles: path }
}
