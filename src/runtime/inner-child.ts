/**
 * The inner child: first process of the container, in all of its namespaces. It finishes the mounts, takes the
 * console, gives up what it must not have, and becomes the payload, or the stub init above it. A forked process:
 * synchronous, no event loop.
 */
import { unlinkSync, writeFileSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import type { NetworkPlan } from '../plan/network.ts'
import type { CgroupHierarchy, ContainerPlan } from '../plan/plan.ts'
import {
  close,
  closeOnExecAllBut,
  duplicateTo,
  open,
  receiveMessage,
  sendMessage,
  O_PATH,
} from '../sys/fd.ts'
import { currentHardLimit, setIds, trySetResourceLimit } from '../sys/credentials.ts'
import { bringUpLoopback } from '../sys/loopback.ts'
import {
  attachMount,
  cloneMount,
  setMountAttributes,
  setPropagation,
  MS_REC,
  MS_SHARED,
} from '../sys/mount.ts'
import { openAddressMonitor } from '../sys/netlink.ts'
import { setHostname, unshare, CLONE_NEWCGROUP, CLONE_NEWNET } from '../sys/namespaces.ts'
import {
  createSession,
  exitProcess,
  joinFreshKeyring,
  prctl,
  resetSignalHandlers,
  setCpuAffinity,
  setPersonality,
  setProcessName,
  setSignalMask,
  setUmask,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from '../sys/process.ts'
import { loadSeccompProgram } from '../sys/seccomp.ts'
import { mountCgroups } from './cgroup-mounts.ts'
import { takeConsole, takeControllingTerminal } from './container-console.ts'
import { receive, send, sendFailure, type SupervisorMessage } from './messages.ts'
import { runStartHooks, waitsForHooks } from './hooks.ts'
import { BOOT_ID_FILE, KMSG_FIFO } from './host-files.ts'
import { executePayload, payloadEnvironment, prepareUser } from './payload.ts'
import { dropPrivileges } from './privileges.ts'
import { NO_SECRETS } from './secrets.ts'
import type { StepContext } from './step-context.ts'
import { executeSteps } from './steps.ts'
import { startUnderStubInit } from './stub-init.ts'

export interface InnerChannels {
  readonly supervisor: number
  /** To the outer child; undefined for a sole child, which the supervisor made itself. */
  readonly outer: number | undefined
  readonly containerUuid: string
  readonly hierarchies: readonly CgroupHierarchy[]
}

export function runInnerChild(plan: ContainerPlan, channels: InnerChannels): never {
  try {
    setProcessName('(sd-container)')
    becomeContainer(plan, channels)
  } catch (error) {
    sendFailure(channels.supervisor, error)
    exitProcess(1)
  }
}

function becomeContainer(plan: ContainerPlan, channels: InnerChannels): never {
  const { supervisor, outer } = channels
  if (outer !== undefined) {
    // The outer child writes our id map. Until then we are nobody.
    if (receiveMessage(outer) === undefined) exitProcess(1)
    setIds(0, 0, [])
    // A copy of the mounts for a user namespace only receives; what services mount inside shall spread inside.
    setPropagation('/', MS_SHARED | MS_REC)
  }
  joinFreshKeyring()
  if (plan.namespaces.includes('net')) unshare(CLONE_NEWNET, 'cannot make a network namespace')
  const root = open('/', O_PATH)
  const context: StepContext = {
    root,
    owner: 0,
    users: undefined,
    containerUuid: channels.containerUuid,
    secrets: NO_SECRETS,
    onNotifySocket: () => {},
    warn: (text) => send(supervisor, { kind: 'warning', text }),
  }
  executeSteps(plan.inner, context)
  coverProcFiles(plan)
  if (outer !== undefined) {
    sendMessage(outer, Buffer.from('mounted'))
    close(outer)
  }
  awaitSupervisor(supervisor, 'go')
  if (plan.network !== undefined) awaitLinks(plan.network, supervisor)
  if (waitsForHooks(plan)) {
    send(supervisor, { kind: 'created' })
    awaitSupervisor(supervisor, 'hooked')
  }

  if (plan.namespaces.includes('cgroup')) {
    unshare(CLONE_NEWCGROUP, 'cannot make a cgroup namespace')
    mountCgroups(channels.hierarchies, plan)
  }
  executeSteps(plan.innerCustom, context)
  close(root)
  resetLoginUid()
  createSession()
  if (plan.loopbackUp) bringUpLoopback()
  const console = takeConsole(plan)
  if (plan.oomScoreAdjust !== undefined) adjustOomScore(plan.oomScoreAdjust)
  if (plan.cpuAffinity !== undefined) pinToProcessors(plan.cpuAffinity)
  setHostname(plan.hostname)
  if (plan.personality !== undefined) setPersonality(plan.personality)
  applyLimits(plan)
  const asRoot = { uid: 0, gid: 0, groups: [] }
  const confine = () => dropPrivileges(plan, asRoot)
  const user = prepareUser(plan, confine)
  runStartHooks(plan, confine)
  dropPrivileges(plan, user)
  const environment = payloadEnvironment(plan, user, channels.containerUuid)
  setUmask(plan.payload.umask ?? 0o022)
  send(
    supervisor,
    { kind: 'started', fds: console === undefined ? [] : ['console'] },
    console === undefined ? [] : [console],
  )
  const begin = () => {
    takeControllingTerminal(plan)
    if (plan.selinuxContext !== undefined) labelNextProgram(plan.selinuxContext)
    if (plan.noNewPrivileges) prctl(PR_SET_NO_NEW_PRIVS, 1)
    resetSignalHandlers()
    setSignalMask([])
    const passed = Array.from({ length: plan.passedDescriptors }, (_, i) => 3 + i)
    // Node marked what it inherited close-on-exec.
    for (const fd of passed) duplicateTo(fd, fd)
    closeOnExecAllBut(passed)
    for (const program of plan.lastSeccomp ?? []) loadSeccompProgram(program)
    executePayload(plan.payload, user, environment)
  }
  if (outer !== undefined) awaitSupervisor(supervisor, 'adopted')
  if (plan.stubInit) startUnderStubInit(plan, channels, begin)
  // The payload dies with the supervisor. A change of ids clears this, so it comes after them.
  prctl(PR_SET_PDEATHSIG, SIGKILL)
  begin()
  return exitProcess(1)
}

/** What the supervisor has said already: that the outer child has ended may come before that the links are made. */
const heard = new Set<SupervisorMessage['kind']>()

/** Waits for the supervisor's word; without a supervisor there is nothing to go on for. */
function awaitSupervisor(socket: number, kind: SupervisorMessage['kind']): void {
  while (!heard.delete(kind)) {
    const received = receive<SupervisorMessage>(socket)
    if (received === undefined) exitProcess(1)
    heard.add(received.message.kind)
  }
}

/** The supervisor makes the links, for it has the host's privileges. */
function awaitLinks({ ports }: NetworkPlan, supervisor: number): void {
  const monitor = ports.length === 0 ? undefined : openAddressMonitor()
  if (monitor === undefined) send(supervisor, { kind: 'network', fds: [] })
  else {
    send(supervisor, { kind: 'network', fds: ['addresses'] }, [monitor])
    close(monitor)
  }
  awaitSupervisor(supervisor, 'connected')
}

/** A fresh boot id, and nothing of the host's kernel log. */
function coverProcFiles(plan: ContainerPlan): void {
  if (!plan.maskKernelLog) return
  for (const [source, target, access] of [
    [BOOT_ID_FILE, '/proc/sys/kernel/random/boot_id', 'read-only'],
    [KMSG_FIFO, '/proc/kmsg', 'as-is'],
  ] as const) {
    const mounted = cloneMount(source, 'one')
    const readOnly = access === 'read-only'
    setMountAttributes(
      mounted,
      { readOnly, noSuid: true, noDev: true, noExec: readOnly },
      'one',
      target,
    )
    attachMount(mounted, target)
    close(mounted)
  }
  unlinkSync(KMSG_FIFO)
}

/** Where the host has audit, the container's logins are not the caller's; some kernels refuse. */
function resetLoginUid(): void {
  try {
    writeFileSync('/proc/self/loginuid', '4294967295')
  } catch {
    // No audit in this kernel, or the id is immutable.
  }
}

function labelNextProgram(label: string): void {
  doAsSaid(
    `--selinux-context=${label}`,
    () => writeFileSync('/proc/self/attr/exec', label),
    (code) => (code === 'EINVAL' ? 'the policy of the host knows no such label' : undefined),
  )
}

function adjustOomScore(score: number): void {
  doAsSaid(
    `--oom-score-adjust=${score}`,
    () => writeFileSync('/proc/self/oom_score_adj', String(score)),
    (code) => (code === 'EACCES' ? 'only CAP_SYS_RESOURCE may go below the own score' : undefined),
  )
}

function pinToProcessors(processors: readonly number[]): void {
  doAsSaid(
    `--cpu-affinity=${processors.join(',')}`,
    () => setCpuAffinity(processors),
    () => 'name at least one processor that the caller may run on',
  )
}

/** What the kernel refuses here is a matter of what the option says. */
function doAsSaid(
  option: string,
  work: () => void,
  hintFor: (code: string) => string | undefined,
): void {
  try {
    work()
  } catch (error) {
    const { code = 'EIO', syscall, path } = error as NodeJS.ErrnoException
    const { operation = syscall, subject = path } = error as Partial<NspawnError>
    const hint = hintFor(code)
    throw new NspawnError(`cannot do as ${option} says`, { code, operation, subject, hint })
  }
}

/** As near to the wanted limits as this process is allowed to go. */
function applyLimits(plan: ContainerPlan): void {
  for (const { resource, soft, hard } of plan.limits) {
    if (trySetResourceLimit(resource, soft, hard)) continue
    const own = currentHardLimit(resource)
    const cut = (value: number | null) =>
      own === null ? value : value === null ? own : Math.min(value, own)
    trySetResourceLimit(resource, cut(soft), cut(hard))
  }
}
