/**
 * The tree of a container, from its source to the root of a mount namespace. Both kinds of first child do this, with
 * the host's privileges: synchronous, no event loop.
 */
import { chmodSync, chownSync, fstatSync, readSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { forgetLocksInChild } from '../images/lock.ts'
import type { CgroupHierarchy, ContainerPlan } from '../plan/plan.ts'
import {
  boundDatagramSocket,
  close,
  open,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
} from '../sys/fd.ts'
import { holdProc } from '../sys/fork.ts'
import { makeNode } from '../sys/inode.ts'
import { S_IFIFO } from '../sys/statx.ts'
import { enterRoot, setPropagation, MS_REC, MS_SHARED, MS_SLAVE } from '../sys/mount.ts'
import { joinNamespace, unshare, CLONE_NEWNET } from '../sys/namespaces.ts'
import { descriptorPath, openInRootIfPresent } from '../sys/openat2.ts'
import { prctl, setProcessName, setUmask, PR_SET_PDEATHSIG, SIGKILL } from '../sys/process.ts'
import { containerHierarchies } from './cgroup-layout.ts'
import { KMSG_FIFO } from './host-files.ts'
import { send, type SupervisorDescriptor } from './messages.ts'
import { pivotTree } from './pivot-root.ts'
import { imagePlace } from './image-place.ts'
import { mountImageRest, mountImageTree } from './mount-image.ts'
import { closeOwners, mountRoot } from './root.ts'
import type { ContainerSecrets } from './secrets.ts'
import type { StepContext } from './step-context.ts'
import { executeSteps } from './steps.ts'

export interface AssembledTree {
  /** With dashes. */
  readonly containerUuid: string
  readonly hierarchies: readonly CgroupHierarchy[]
  /** What the supervisor holds for the container. */
  readonly held: readonly { readonly name: SupervisorDescriptor; readonly fd: number }[]
}

/** The first things a forked child does: it has a name, dies with its parent, and holds none of its locks. */
export function beginChild(): void {
  setProcessName('(sd-namespace)')
  prctl(PR_SET_PDEATHSIG, SIGKILL)
  forgetLocksInChild()
  holdProc()
  setUmask(0o022)
}

/**
 * Enters new namespaces, a mount namespace among them, builds the tree and makes it the root.
 *
 * @param namespaces CLONE_NEW… flags
 * @param place an empty directory of the host to mount the root at
 */
export function assembleTree(
  plan: ContainerPlan,
  supervisor: number,
  place: string,
  namespaces: number,
  secrets: ContainerSecrets,
): AssembledTree {
  // Its path is the host's.
  if (plan.networkNamespace !== undefined) joinNetwork(plan.networkNamespace)
  unshare(namespaces, 'cannot make a mount namespace')
  const root = mountTree(plan, place)
  const owner = plan.users?.base ?? 0
  const uuid = readMachineId(root) ?? plan.fallbackUuid
  const containerUuid = uuid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  const hierarchies = containerHierarchies(plan.cgroup, root)
  const held: AssembledTree['held'][number][] = []
  const context: StepContext = {
    root,
    owner,
    users: plan.users,
    containerUuid,
    secrets,
    onNotifySocket: (path, rootFd) => {
      held.push({ name: 'notify', fd: makeNotifySocket(path, rootFd, owner) })
    },
    warn: (text) => send(supervisor, { kind: 'warning', text }),
  }
  executeSteps(plan.outer, context)
  if (plan.maskKernelLog) held.push({ name: 'kmsg', fd: makeKmsgFifo(root, owner) })
  close(root)
  enterRoot(place)
  setPropagation('/', MS_SHARED | MS_REC)
  for (const target of plan.receiveOnly) setPropagation(target, MS_SLAVE)
  return { containerUuid, hierarchies, held }
}

function joinNetwork(path: string): void {
  const fd = open(path, O_RDONLY)
  try {
    joinNamespace(fd, CLONE_NEWNET)
  } catch (error) {
    throw new NspawnError(`${path} is no network namespace`, {
      code: 'EINVAL',
      operation: 'setns',
      subject: path,
      hint: 'name a file below /run/netns, or /proc/PID/ns/net',
      cause: error,
    })
  } finally {
    close(fd)
  }
}

/** @returns O_PATH descriptor of the container's root */
function mountTree(plan: ContainerPlan, place: string): number {
  const { image } = plan
  if (image !== undefined) {
    setPropagation('/', MS_SLAVE | MS_REC)
    mountImageTree(image, imagePlace())
  }
  const { root: tree, owners } = mountRoot(plan.root, plan.users, place, plan.selinuxApifsContext)
  const root = plan.pivotRoot === undefined ? tree : pivotTree(plan.pivotRoot, tree, place)
  if (image !== undefined) mountImageRest(image, plan.root, root, owners)
  closeOwners(owners)
  return root
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
  const directory = openInRootIfPresent(root, '/run', O_PATH | O_DIRECTORY) as number
  try {
    const path = descriptorPath(directory, KMSG_FIFO.slice('/run/'.length))
    makeNode(path, S_IFIFO | 0o600)
    chownSync(path, owner, owner)
    return open(path, O_RDWR | O_NONBLOCK)
  } finally {
    close(directory)
  }
}
