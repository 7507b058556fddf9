/**
 * Starting a process in a running machine: a forked child joins the namespaces and control groups of the machine's
 * first process and forks once more, since only children are in a pid namespace that was joined. The new process is
 * held to what the machine's payload was started under.
 */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { NspawnError, reviveError } from '../errors.ts'
import { isOwnerAlive } from '../owner.ts'
import { receive, send, sendFailure, type ChildMessage } from '../runtime/messages.ts'
import { limitBoundingSet, setCapabilities, setIds } from '../sys/credentials.ts'
import { close, open, packetSocketPair, O_DIRECTORY, O_PATH, O_RDONLY } from '../sys/fd.ts'
import { forkChildWithHeap, forkWithHeap, holdProc } from '../sys/fork.ts'
import { changeRoot } from '../sys/mount.ts'
import {
  joinNamespace,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../sys/namespaces.ts'
import {
  blockSignals,
  createSession,
  exitProcess,
  joinFreshKeyring,
  prctl,
  restoreSignals,
  setProcessName,
  setUmask,
  waitForChild,
  PR_SET_DUMPABLE,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
  SIGKILL,
  type ExitReason,
} from '../sys/process.ts'
import { loadSeccompProgram } from '../sys/seccomp.ts'
import type { RunningMachine } from '../runtime/registry.ts'

/** In the order of joining: the user namespace last, for the privileges over all others come from the host's. */
const kinds = [
  ['cgroup', CLONE_NEWCGROUP],
  ['ipc', CLONE_NEWIPC],
  ['uts', CLONE_NEWUTS],
  ['net', CLONE_NEWNET],
  ['pid', CLONE_NEWPID],
  ['mnt', CLONE_NEWNS],
  ['user', CLONE_NEWUSER],
] as const

/** What leads into a machine, held by descriptors: they are the machine's even when its pid is somebody else's. */
export interface MachineDoor {
  readonly namespaces: readonly { readonly fd: number; readonly type: number }[]
  readonly root: number
  /** The `cgroup.procs` files of the machine's control groups. */
  readonly groups: readonly string[]
  readonly machine: RunningMachine
}

/** @throws NspawnError `MACHINE_NOT_FOUND` when the machine has ended meanwhile */
export function openMachine(machine: RunningMachine): MachineDoor {
  const proc = `/proc/${machine.leader.pid}`
  const opened: number[] = []
  const keep = (fd: number): number => {
    opened.push(fd)
    return fd
  }
  try {
    const namespaces = kinds
      .filter(([kind]) => existsSync(`/proc/self/ns/${kind}`) && !isShared(proc, kind))
      .map(([kind, type]) => ({ fd: keep(open(`${proc}/ns/${kind}`, O_RDONLY)), type }))
    const root = keep(open(`${proc}/root`, O_PATH | O_DIRECTORY))
    const groups = groupFiles(readFileSync(`${proc}/cgroup`, 'latin1'))
    if (!isOwnerAlive(machine.leader)) throw gone(machine)
    return { namespaces, root, groups, machine }
  } catch (error) {
    for (const fd of opened) close(fd)
    if (!isOwnerAlive(machine.leader)) throw gone(machine)
    throw error
  }
}

export function closeMachine(door: MachineDoor): void {
  for (const { fd } of door.namespaces) close(fd)
  close(door.root)
}

function gone(machine: RunningMachine): NspawnError {
  return new NspawnError(`machine ${machine.name} has ended`, {
    code: 'MACHINE_NOT_FOUND',
    subject: machine.name,
  })
}

function isShared(proc: string, kind: string): boolean {
  const [theirs, ours] = [statSync(`${proc}/ns/${kind}`), statSync(`/proc/self/ns/${kind}`)]
  return theirs.ino === ours.ino && theirs.dev === ours.dev
}

/** Lines `NUMBER:CONTROLLERS:PATH` of /proc/PID/cgroup (cgroups(7)) as files below /sys/fs/cgroup. */
function groupFiles(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    // A group outside the part of the tree that we see.
    if (controllers === undefined || path === undefined || path.startsWith('/..')) return []
    const hierarchies =
      controllers === '' ? ['', '/unified'] : [`/${controllers.replace(/^name=/, '')}`]
    return hierarchies
      .map((hierarchy) => `/sys/fs/cgroup${hierarchy}${path}/cgroup.procs`)
      .filter((file) => existsSync(file))
      .slice(0, 1)
  })
}

/**
 * Forks a process into the machine. It leads a session, is root there, and has signals blocked; nothing of the host is
 * open but `control` and what the caller has open, so it must exec with all of that closed.
 *
 * @param control a packet socket: the new process's pid on the host comes in as `assembled`, a failure as `failed`
 * @param become execs; throws when it cannot
 * @returns pid of our own child, which ends as the process in the machine does (128 + N for signal N)
 */
export function forkIntoMachine(
  door: MachineDoor,
  control: number,
  become: (control: number) => never,
): number {
  const mask = blockSignals()
  const child = forkWithHeap()
  if (child !== 0) {
    restoreSignals(mask)
    return child
  }
  try {
    setProcessName('(sd-enter)')
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    joinMachine(door)
    const entered = forkChildWithHeap()
    if (entered === 0) {
      becomeEntered(control, become)
    }
    send(control, { kind: 'assembled', leader: entered, fds: [] })
    close(control)
    exitProcess(statusOf(waitForChild(entered)?.reason))
  } catch (error) {
    sendFailure(control, error)
    exitProcess(1)
  }
}

/**
 * Does something in the machine's mount namespace with the host's privileges, in a forked child.
 *
 * @param work synchronous; what it throws is thrown here
 */
export function inMountNamespace(door: MachineDoor, work: () => void): void {
  const [ours, theirs] = packetSocketPair()
  const mask = blockSignals()
  const child = forkWithHeap()
  if (child === 0) {
    try {
      prctl(PR_SET_PDEATHSIG, SIGKILL)
      for (const { fd, type } of door.namespaces) if (type === CLONE_NEWNS) joinNamespace(fd, type)
      work()
    } catch (error) {
      sendFailure(theirs, error)
    }
    exitProcess(0)
  }
  restoreSignals(mask)
  close(theirs)
  const answer = receive<ChildMessage>(ours)?.message
  close(ours)
  const status = statusOf(waitForChild(child)?.reason)
  if (answer?.kind === 'failed') throw reviveError(answer.error)
  if (status !== 0) {
    throw new NspawnError('the process that entered the machine died', {
      code: 'CHILD_DIED',
      operation: 'setns',
      status,
    })
  }
}

function joinMachine(door: MachineDoor): void {
  for (const file of door.groups) joinGroup(file)
  holdProc()
  // From here on the machine's processes could see this one, with all that it has of the host in memory.
  prctl(PR_SET_DUMPABLE, 0)
  for (const { fd, type } of door.namespaces) {
    if (type === CLONE_NEWUSER) changeRoot(door.root)
    joinNamespace(fd, type)
  }
  if (!door.namespaces.some(({ type }) => type === CLONE_NEWUSER)) changeRoot(door.root)
  process.chdir('/')
  setIds(0, 0, [])
  // Changing ids clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL)
}

/** Where the groups cannot be written to, or the machine's init has divided its own further, the caller's will do. */
function joinGroup(file: string): void {
  try {
    writeFileSync(file, '0')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (
      !['EROFS', 'EACCES', 'EPERM', 'EBUSY', 'ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(code ?? '')
    )
      throw error
  }
}

function becomeEntered(control: number, become: (control: number) => never): never {
  try {
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    createSession()
    joinFreshKeyring()
    setUmask(0o022)
    become(control)
  } catch (error) {
    sendFailure(control, error)
  }
  exitProcess(1)
}

/** As a shell says it. */
export function statusOf(reason: ExitReason | undefined): number {
  if (reason === undefined) return 1
  return reason.kind === 'exited' ? reason.status : 128 + reason.signal
}

/** Gives up what the machine's payload does not have either, and becomes this user. */
export function confine(
  machine: RunningMachine,
  user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] },
): void {
  const { bounding, seccomp, noNewPrivileges } = machine.confinement
  const limit = BigInt(`0x${bounding}`)
  for (const program of seccomp) loadSeccompProgram(program)
  limitBoundingSet(limit)
  setIds(user.uid, user.gid, user.groups)
  const held = user.uid === 0 ? limit : 0n
  setCapabilities({
    bounding: limit,
    permitted: held,
    effective: held,
    inheritable: 0n,
    ambient: 0n,
  })
  if (noNewPrivileges) prctl(PR_SET_NO_NEW_PRIVS, 1)
  // Changing ids clears it.
  prctl(PR_SET_PDEATHSIG, SIGKILL)
}
