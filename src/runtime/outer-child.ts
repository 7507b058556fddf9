/**
 * The outer child: with the host's privileges, in a mount namespace of its own, it assembles the tree, makes it the
 * root, starts the inner child in the container's namespaces, maps its ids, and stays until that one has mounted
 * what needs help from outside. A forked process: synchronous, it ends by `exitProcess()`.
 */
import {
  chmodSync,
  chownSync,
  fstatSync,
  mkdirSync,
  readSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs'
import { NspawnError } from '../errors.ts'
import type { ContainerPlan } from '../plan/plan.ts'
import {
  boundDatagramSocket,
  close,
  closeAllBut,
  open,
  packetSocketPair,
  receiveMessage,
  sendMessage,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
} from '../sys/fd.ts'
import { forkChildWithHeap, holdProc } from '../sys/fork.ts'
import { makeNode, S_IFIFO } from '../sys/inode.ts'
import {
  enterRoot,
  mount,
  setPropagation,
  tryUnmount,
  unmount,
  MNT_DETACH,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
} from '../sys/mount.ts'
import {
  unshare,
  writeIdMaps,
  CLONE_NEWIPC,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
} from '../sys/namespaces.ts'
import { descriptorPath, openInRootIfPresent } from '../sys/openat2.ts'
import {
  exitProcess,
  prctl,
  setProcessName,
  setUmask,
  PR_SET_PDEATHSIG,
  SIGKILL,
} from '../sys/process.ts'
import { containerHierarchies } from './cgroup-layout.ts'
import { KMSG_FIFO } from './host-files.ts'
import { runInnerChild } from './inner-child.ts'
import { send, sendFailure } from './messages.ts'
import { mountRoot } from './root.ts'
import type { StepContext } from './step-context.ts'
import { executeSteps } from './steps.ts'

/**
 * @param supervisor the child's end of the socket pair to the supervisor
 * @param place an empty directory of the host to mount the root at
 */
export function runOuterChild(plan: ContainerPlan, supervisor: number, place: string): never {
  try {
    prctl(PR_SET_PDEATHSIG, SIGKILL)
    setProcessName('(sd-namespace)')
    // Locks and the like are the supervisor's: when it dies they shall be free, whoever of us lives on.
    closeAllBut([supervisor, ...Array.from({ length: plan.passedDescriptors }, (_, i) => 3 + i)])
    holdProc()
    assembleAndStart(plan, supervisor, place)
    exitProcess(0)
  } catch (error) {
    sendFailure(supervisor, error)
    exitProcess(1)
  }
}

function assembleAndStart(plan: ContainerPlan, supervisor: number, place: string): void {
  setUmask(0o022)
  unshare(CLONE_NEWNS, 'cannot make a mount namespace')
  const root = mountRoot(plan.root, plan.users, place)
  const owner = plan.users?.base ?? 0
  const uuid = readMachineId(root) ?? plan.fallbackUuid
  const containerUuid = uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  const hierarchies = containerHierarchies(plan.cgroup, root)
  let notify: number | undefined
  const context: StepContext = {
    root,
    owner,
    users: plan.users,
    containerUuid,
    onNotifySocket: (path, rootFd) => {
      notify = makeNotifySocket(path, rootFd, owner)
    },
    warn: (text) => send(supervisor, { kind: 'warning', text }),
  }
  executeSteps(plan.outer, context)
  const kmsg = plan.maskKernelLog ? makeKmsgFifo(root, owner) : undefined
  close(root)
  enterRoot(place)
  setPropagation('/', MS_SHARED | MS_REC)
  for (const target of plan.receiveOnly) setPropagation(target, MS_SLAVE)
  if (plan.users !== undefined) pinProcAndSysfs()

  const [fromInner, toOuter] = packetSocketPair()
  const inner = forkChildWithHeap(cloneFlags(plan))
  if (inner === 0) {
    close(fromInner)
    runInnerChild(plan, { supervisor, outer: toOuter, containerUuid, hierarchies })
  }
  close(toOuter)
  if (plan.users !== undefined) {
    const { base, length } = plan.users
    writeIdMaps(inner, [{ inside: 0, outside: base, length }], '/run/host/proc')
    sendMessage(fromInner, Buffer.from('mapped'))
  }
  const passed = [
    ...(notify === undefined ? [] : [{ name: 'notify' as const, fd: notify }]),
    ...(kmsg === undefined ? [] : [{ name: 'kmsg' as const, fd: kmsg }]),
  ]
  send(
    supervisor,
    { kind: 'leader', pid: inner, containerUuid, fds: passed.map(({ name }) => name) },
    passed.map(({ fd }) => fd),
  )
  // One message when everything is mounted; end of file when the inner child failed, which it reports itself.
  receiveMessage(fromInner)
  if (plan.users !== undefined) unpinProcAndSysfs()
  if (kmsg !== undefined) unlinkSync(KMSG_FIFO)
}

function cloneFlags(plan: ContainerPlan): number {
  const flags = {
    ipc: CLONE_NEWIPC,
    pid: CLONE_NEWPID,
    uts: CLONE_NEWUTS,
    user: CLONE_NEWUSER,
    net: 0,
    cgroup: 0,
  }
  return plan.namespaces.reduce((all, name) => all | flags[name], CLONE_NEWNS)
}

/** A tree's own machine ID; undefined when it has none yet (machine-id(5)). */
function readMachineId(root: number): string | undefined {
  const fd = openInRootIfPresent(root, '/etc/machine-id', O_NONBLOCK)
  if (fd === undefined) return undefined
  try {
    if (!fstatSync(fd).isFile()) return undefined
    const buffer = Buffer.alloc(64)
    const text = buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0)).trim()
    if (text === '' || text === 'uninitialized') return undefined
    const id = text.replaceAll('-', '').toLowerCase()
    if (/^[0-9a-f]{32}$/.test(id) && !/^0+$/.test(id)) return id
    throw new NspawnError('/etc/machine-id of the tree does not hold a machine ID', {
      code: 'EINVAL',
      operation: 'read',
      subject: '/etc/machine-id',
      hint: 'empty the file, then a new ID is made up',
    })
  } finally {
    close(fd)
  }
}

function makeNotifySocket(path: string, root: number, owner: number): number {
  const cut = path.lastIndexOf('/')
  const directory = openInRootIfPresent(root, path.slice(0, cut), O_PATH | O_DIRECTORY) as number
  try {
    const hostPath = descriptorPath(directory, path.slice(cut + 1))
    const socket = boundDatagramSocket(hostPath)
    chmodSync(hostPath, 0o200)
    chownSync(hostPath, owner, owner)
    return socket
  } finally {
    close(directory)
  }
}

/** A reader of /proc/kmsg shall wait for ever, not read the host's log nor see an end. */
function makeKmsgFifo(root: number, owner: number): number {
  const directory = openInRootIfPresent(root, '/run/host', O_PATH | O_DIRECTORY) as number
  try {
    const path = descriptorPath(directory, 'proc-kmsg')
    makeNode(path, S_IFIFO | 0o600)
    chownSync(path, owner, owner)
    return open(path, O_RDWR | O_NONBLOCK)
  } finally {
    close(directory)
  }
}

/**
 * The kernel lets a user namespace mount proc and sysfs only where a full one is in sight already. They are taken
 * away again once the inner child has its own.
 */
function pinProcAndSysfs(): void {
  for (const fstype of ['proc', 'sys']) {
    const target = `/run/host/${fstype}`
    mkdirSync(target, { mode: 0o755 })
    mount({
      source: fstype === 'sys' ? 'sysfs' : 'proc',
      target,
      fstype: fstype === 'sys' ? 'sysfs' : 'proc',
      flags: MS_NOSUID | MS_NODEV | MS_NOEXEC,
    })
  }
}

function unpinProcAndSysfs(): void {
  for (const target of ['/run/host/proc', '/run/host/sys']) {
    if (!tryUnmount(target)) unmount(target, MNT_DETACH)
    rmdirSync(target)
  }
}
