/**
 * Walks the steps of a plan. Runs in the forked children: synchronous, no event loop.
 *
 * In: a root descriptor, the owner of what is made, the id map. Out: the tree as the plan says, or an error
 * that names the step. Targets are resolved beneath the root each time, since the step before may have
 * mounted something there.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename } from 'node:path'
import { NspawnError } from '../errors.ts'
import {
  describeStep,
  type MountFlag,
  type OnFailure,
  type PlannedSource,
  type Step,
} from '../plan/plan.ts'
import { close, open, O_DIRECTORY, O_PATH } from '../sys/fd.ts'
import { makeNode, tryMakeNode } from '../sys/inode.ts'
import { makeDevice } from '../sys/device-number.ts'
import { openIdMapNamespace, setDomainname, type IdMapLine } from '../sys/namespaces.ts'
import {
  attachMount,
  bindMount,
  cloneMount,
  mount,
  setMountAttributes,
  setPropagation,
  tryUnmount,
  unmount,
  type MountAttributes,
  MNT_DETACH,
  MS_DIRSYNC,
  MS_LAZYTIME,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
} from '../sys/mount.ts'
import {
  descriptorPath,
  makeDirectoryInRoot,
  openInRoot,
  openInRootIfPresent,
  splitPath,
  withPathInRoot,
} from '../sys/openat2.ts'
import {
  statAt,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFREG,
  S_IFSOCK,
  STATX_ATTR_MOUNT_ROOT,
} from '../sys/statx.ts'
import { openBindTarget } from './bind-target.ts'
import { bindUsers } from './bind-users.ts'
import { makeBaseFilesystem } from './base-filesystem.ts'
import { layOutCredentials } from './credentials.ts'
import { BOOT_ID_FILE } from './host-files.ts'
import { idMapLines } from './id-map.ts'
import { linkJournal } from './link-journal.ts'
import { mountOverlayAt } from './overlay.ts'
import { setUpResolvConf } from './resolv-conf.ts'
import type { StepContext } from './step-context.ts'
import { setUpTimezone } from './timezone.ts'

/** @throws NspawnError whose message is the step in words, with the failure as cause */
export function executeSteps(steps: readonly Step[], context: StepContext): void {
  for (const step of steps) {
    try {
      executeStep(step, context)
    } catch (error) {
      if ('onFailure' in step && isIgnored(step.onFailure, error)) continue
      throw new NspawnError(`cannot ${describeStep(step)}`, {
        code: (error as { code?: string }).code ?? 'BUG',
        cause: error,
      })
    }
  }
}

function isIgnored(onFailure: OnFailure | 'skip', error: unknown): boolean {
  if (!(error instanceof NspawnError)) return false
  const missing = error.code === 'ENOENT' || error.code === 'ENOTDIR'
  return onFailure === 'ignore' || (onFailure === 'ignore-missing' && missing)
}

function executeStep(step: Step, context: StepContext): void {
  const { root, owner } = context
  switch (step.kind) {
    case 'mount':
      return mountNew(step, context)
    case 'bind':
      return bind(step, context)
    case 'remount':
      return withPathInRoot(root, step.target, (_, fd) =>
        setMountAttributes(fd, attributesOf(step.flags), step.depth, step.target),
      )
    case 'overlay':
      return mountOverlay(step, context)
    case 'mask':
      return mask(step.target, root)
    case 'directory': {
      const fd = makeDirectoryInRoot(root, step.path, { mode: step.mode, owner })
      return close(fd)
    }
    case 'symlink':
      return inParent(step.path, context, (path) => {
        symlinkSync(step.target, path)
        lchownSync(path, owner, owner)
      })
    case 'file':
      return inParent(step.path, context, (path) => {
        writeFileSync(path, step.content, { flag: 'wx' })
        chmodSync(path, step.mode)
        chownSync(path, owner, owner)
      })
    case 'owner':
      return withPathInRoot(root, step.path, (path) => chownSync(path, owner, owner))
    case 'device':
      return makeDeviceNode(step, context)
    case 'fifo':
      return inParent(step.path, context, (path) => {
        makeNode(path, S_IFIFO | 0o600)
        giveNode(path, step.mode, step.owner, context)
      })
    case 'sysctl':
      return setSysctl(step.name, step.value)
    case 'base-filesystem':
      return makeBaseFilesystem(root, owner)
    case 'inaccessible-nodes':
      return makeInaccessibleNodes(context)
    case 'notify-socket':
      return context.onNotifySocket(step.path, root)
    case 'bind-users':
      return bindUsers(step, context)
    case 'credentials':
      return layOutCredentials(step, context)
    case 'identity-files':
      for (const [name, content] of [
        ['container-manager', step.service],
        ['container-uuid', context.containerUuid],
        [basename(BOOT_ID_FILE), readFileSync('/proc/sys/kernel/random/uuid', 'latin1').trim()],
      ]) {
        executeStep(
          { kind: 'file', path: `/run/host/${name}`, content: `${content}\n`, mode: 0o444 },
          context,
        )
      }
      return
    case 'resolv-conf':
      return setUpResolvConf(step, context)
    case 'timezone':
      return setUpTimezone(step.mode, context)
    case 'link-journal':
      return linkJournal(step, context)
    case 'private-sysfs':
      return fillPrivateSysfs(step.access)
  }
}

function flagBits(flags: readonly MountFlag[]): number {
  const bits: Readonly<Record<MountFlag, number>> = {
    ro: MS_RDONLY,
    nosuid: MS_NOSUID,
    nodev: MS_NODEV,
    noexec: MS_NOEXEC,
    strictatime: MS_STRICTATIME,
    relatime: MS_RELATIME,
    noatime: MS_NOATIME,
    nodiratime: MS_NODIRATIME,
    lazytime: MS_LAZYTIME,
    sync: MS_SYNCHRONOUS,
    dirsync: MS_DIRSYNC,
    nosymfollow: MS_NOSYMFOLLOW,
  }
  return flags.reduce((all, flag) => all | bits[flag], 0)
}

function attributesOf(flags: readonly MountFlag[]): MountAttributes {
  return {
    readOnly: flags.includes('ro'),
    noSuid: flags.includes('nosuid'),
    noDev: flags.includes('nodev'),
    noExec: flags.includes('noexec'),
  }
}

/** Runs `use` with the path of `path`'s last component in its already existing parent directory. */
function inParent(
  path: string,
  context: Pick<StepContext, 'root'>,
  use: (path: string) => void,
): void {
  const { parent, name } = splitPath(path)
  const fd = openInRoot(context.root, parent, O_PATH | O_DIRECTORY)
  try {
    use(descriptorPath(fd, name))
  } finally {
    close(fd)
  }
}

function mountNew(step: Extract<Step, { kind: 'mount' }>, context: StepContext): void {
  const { target, fstype, options } = step
  const fd =
    step.create === 'directory'
      ? makeDirectoryInRoot(context.root, target, { mode: 0o755, owner: context.owner })
      : openInRoot(context.root, target)
  try {
    const isMountPoint = (statAt(fd).attributes & STATX_ATTR_MOUNT_ROOT) !== 0n
    if (step.existing === 'skip' && isMountPoint) return
    // The first mount of the inner child is /proc itself, when no /proc/self/fd exists yet.
    const path = fstype === 'proc' ? target : descriptorPath(fd)
    mount({
      source: step.source ?? fstype,
      target: path,
      fstype,
      flags: flagBits(step.flags),
      options,
      path: target,
    })
  } finally {
    close(fd)
  }
}

function openSource(source: PlannedSource, root: number): number {
  return source.kind === 'host' ? open(source.hostPath, O_PATH) : openInRoot(root, source.path)
}

function describe(source: PlannedSource): string {
  return source.kind === 'host' ? source.hostPath : source.path
}

function bind(step: Extract<Step, { kind: 'bind' }>, context: StepContext): void {
  const source = openSource(step.source, context.root)
  try {
    const kind = fstatSync(source).isDirectory() ? 'directory' : 'file'
    const target = openBindTarget(step.target, context, kind, step.create)
    try {
      const targetKind = fstatSync(target).isDirectory() ? 'directory' : 'file'
      if (kind !== targetKind) {
        throw new NspawnError(
          `cannot bind mount ${kind} ${describe(step.source)} on ${targetKind} ${step.target}`,
          {
            code: kind === 'directory' ? 'ENOTDIR' : 'EISDIR',
          },
        )
      }
      const mounted = cloneMount(descriptorPath(source), step.depth)
      try {
        if (step.idMap !== 'noidmap') idMapBind(step, context, mounted, source, target)
        if (step.flags.length > 0)
          setMountAttributes(mounted, attributesOf(step.flags), step.depth, step.target)
        attachMount(mounted, descriptorPath(target), step.target)
        if (step.propagation === 'private')
          setPropagation(descriptorPath(mounted), MS_PRIVATE | MS_REC, step.target)
      } finally {
        close(mounted)
      }
    } finally {
      close(target)
    }
  } finally {
    close(source)
  }
}

/** systemd-nspawn(1), `--bind=`: idmap, rootidmap, owneridmap. */
function idMapBind(
  step: Extract<Step, { kind: 'bind' }>,
  context: StepContext,
  mounted: number,
  source: number,
  target: number,
): void {
  const { users } = context
  if (users === undefined) {
    throw new NspawnError(
      `the mount option ${step.idMap} of ${step.target} needs a user namespace`,
      {
        code: 'EINVAL',
        hint: 'add --private-users=pick or -U',
      },
    )
  }
  const sourceOwner = fstatSync(source).uid
  const lines: Readonly<Record<'idmap' | 'rootidmap' | 'owneridmap', readonly IdMapLine[]>> = {
    idmap: idMapLines(users),
    rootidmap: [{ inside: sourceOwner, outside: users.base, length: 1 }],
    owneridmap: [{ inside: sourceOwner, outside: fstatSync(target).uid, length: 1 }],
  }
  const namespace = openIdMapNamespace(lines[step.idMap as 'idmap'])
  try {
    setMountAttributes(mounted, { idMap: namespace }, step.depth, step.target)
  } finally {
    closeSync(namespace)
  }
}

function mountOverlay(step: Extract<Step, { kind: 'overlay' }>, context: StepContext): void {
  const { parent } = splitPath(step.target)
  close(openInRoot(context.root, parent, O_PATH | O_DIRECTORY))
  const target = makeDirectoryInRoot(context.root, step.target, {
    mode: 0o755,
    owner: context.owner,
  })
  const opened: number[] = [target]
  const path = (fd: number): string => {
    opened.push(fd)
    return descriptorPath(fd)
  }
  try {
    // Descriptors instead of names: no escaping, no limit on their length.
    const lowers = step.lowers.map((lower) => path(openSource(lower, context.root))).toReversed()
    if (step.upper === undefined) {
      mountOverlayAt(
        descriptorPath(target),
        [`lowerdir=${lowers.join(':')}`],
        step.target,
        'read-only',
      )
      return
    }
    const { upper, work } = openUpper(step.upper, context)
    const options = [
      `lowerdir=${lowers.join(':')}`,
      `upperdir=${path(upper)}`,
      `workdir=${path(work)}`,
    ]
    mountOverlayAt(descriptorPath(target), options, step.target)
  } finally {
    for (const fd of opened) close(fd)
  }
}

/** Opens an overlay's upper, made when missing, and its work directory beside it. */
function openUpper(
  { source, workName }: NonNullable<Extract<Step, { kind: 'overlay' }>['upper']>,
  context: StepContext,
): { upper: number; work: number } {
  const root = source.kind === 'host' ? open('/', O_PATH | O_DIRECTORY) : context.root
  try {
    const upperPath = describe(source)
    const owner = source.kind === 'host' ? 0 : context.owner
    const upper = makeDirectoryInRoot(root, upperPath, { mode: 0o755, owner })
    const { parent } = splitPath(upperPath)
    const work = makeDirectoryInRoot(root, `${parent}/${workName}`, { mode: 0o700, owner })
    return { upper, work }
  } finally {
    if (root !== context.root) close(root)
  }
}

function mask(target: string, root: number): void {
  withPathInRoot(root, target, (hostPath, fd) => {
    const stat = fstatSync(fd)
    const node = stat.isDirectory()
      ? 'dir'
      : stat.isCharacterDevice()
        ? 'chr'
        : stat.isBlockDevice()
          ? 'blk'
          : stat.isFIFO()
            ? 'fifo'
            : stat.isSocket()
              ? 'sock'
              : 'reg'
    const source =
      openInRootIfPresent(root, `/run/host/inaccessible/${node}`) ??
      openInRoot(root, '/run/host/inaccessible/reg')
    try {
      const mounted = cloneMount(descriptorPath(source), 'one')
      try {
        setMountAttributes(
          mounted,
          { readOnly: true, noSuid: true, noDev: true, noExec: true },
          'one',
          target,
        )
        attachMount(mounted, hostPath, target)
      } finally {
        close(mounted)
      }
    } finally {
      close(source)
    }
  })
}

function makeDeviceNode(step: Extract<Step, { kind: 'device' }>, context: StepContext): void {
  const { path, hostPath, mode, major, minor } = step
  inParent(path, context, (node) => {
    const type = step.type === 'character' ? S_IFCHR : S_IFBLK
    if (!tryMakeNode(node, type | mode, makeDevice(major, minor))) {
      makeNode(node, S_IFREG | 0o600)
      bindMount(hostPath, node, 'one', path)
      return
    }
    giveNode(node, mode, step.owner, context)
  })
}

/** Whatever the umask is. */
function giveNode(
  node: string,
  mode: number,
  { uid, gid } = { uid: 0, gid: 0 },
  { owner }: Pick<StepContext, 'owner'>,
): void {
  chmodSync(node, mode)
  chownSync(node, owner + uid, owner + gid)
}

/** Where a call sets a parameter, it needs no user of the host. */
function setSysctl(name: string, value: string): void {
  if (name === 'kernel.domainname') return setDomainname(value)
  const path = `/proc/sys/${name.replaceAll('.', '\0').replaceAll('/', '.').replaceAll('\0', '/')}`
  try {
    writeFileSync(path, value)
  } catch (error) {
    const { code = 'EIO', syscall } = error as NodeJS.ErrnoException
    throw new NspawnError(`the kernel does not take ${JSON.stringify(value)}`, {
      code,
      operation: syscall,
      subject: path,
      hint: code === 'ENOENT' ? 'this kernel has no such parameter' : undefined,
    })
  }
}

function makeInaccessibleNodes(context: StepContext): void {
  const { root, owner } = context
  const directory = makeDirectoryInRoot(root, '/run/host/inaccessible', { mode: 0o755, owner })
  try {
    const at = (name: string) => descriptorPath(directory, name)
    makeNode(at('reg'), S_IFREG)
    mkdirSync(at('dir'), { mode: 0 })
    chmodSync(at('dir'), 0)
    makeNode(at('fifo'), S_IFIFO)
    makeNode(at('sock'), S_IFSOCK)
    // Device numbers 0:0 belong to nobody; where mknod is refused, reg stands in for them.
    tryMakeNode(at('chr'), S_IFCHR)
    tryMakeNode(at('blk'), S_IFBLK)
    for (const name of ['reg', 'dir', 'fifo', 'sock', 'chr', 'blk']) {
      if (lstatSync(at(name), { throwIfNoEntry: false }) !== undefined)
        lchownSync(at(name), owner, owner)
    }
    chmodSync(descriptorPath(directory), 0o555)
  } finally {
    close(directory)
  }
}

const visibleSysfs = ['block', 'bus', 'class', 'dev', 'devices', 'kernel']

/** Runs in the inner child, with the network namespace entered and the tree as root. */
function fillPrivateSysfs(access: 'read-only' | 'read-write'): void {
  const attributes = { readOnly: access === 'read-only', noSuid: true, noDev: true, noExec: true }
  mkdirSync('/sys/full', { mode: 0o755 })
  mount({
    source: 'sysfs',
    target: '/sys/full',
    fstype: 'sysfs',
    flags: MS_NOSUID | MS_NODEV | MS_NOEXEC | (access === 'read-only' ? MS_RDONLY : 0),
  })
  for (const name of visibleSysfs) {
    mkdirSync(`/sys/${name}`, { mode: 0o755 })
    const part = cloneMount(`/sys/full/${name}`, 'one')
    setMountAttributes(part, attributes, 'one', `/sys/${name}`)
    attachMount(part, `/sys/${name}`)
    close(part)
  }
  if (!tryUnmount('/sys/full')) unmount('/sys/full', MNT_DETACH)
  rmdirSync('/sys/full')
  mkdirSync('/sys/fs/cgroup', { recursive: true, mode: 0o755 })
  const sys = open('/sys', O_PATH)
  setMountAttributes(sys, attributes, 'one', '/sys')
  close(sys)
}
