/** Mounting, the old way and by descriptor. mount(2), pivot_root(2), open_tree(2), move_mount(2), mount_setattr(2) */
import { close } from './fd.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

export const MS_RDONLY = 0x1
export const MS_NOSUID = 0x2
export const MS_NODEV = 0x4
export const MS_NOEXEC = 0x8
export const MS_SYNCHRONOUS = 0x10
export const MS_REMOUNT = 0x20
export const MS_DIRSYNC = 0x80
export const MS_NOSYMFOLLOW = 0x100
export const MS_NOATIME = 0x400
export const MS_NODIRATIME = 0x800
export const MS_BIND = 0x1000
export const MS_MOVE = 0x2000
export const MS_REC = 0x4000
export const MS_PRIVATE = 0x40000
export const MS_SLAVE = 0x80000
export const MS_SHARED = 0x100000
export const MS_RELATIME = 0x200000
export const MS_STRICTATIME = 0x1000000
export const MS_LAZYTIME = 0x2000000
export const MNT_DETACH = 2

const MOUNT_ATTR_RDONLY = 0x1
const MOUNT_ATTR_NOSUID = 0x2
const MOUNT_ATTR_NODEV = 0x4
const MOUNT_ATTR_NOEXEC = 0x8
const MOUNT_ATTR_IDMAP = 0x100000
const MOUNT_ATTR_NOSYMFOLLOW = 0x200000

const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
const AT_RECURSIVE = 0x8000
const OPEN_TREE_CLONE = 1
const OPEN_TREE_CLOEXEC = 0o2000000
const MOVE_MOUNT_F_EMPTY_PATH = 0x04
const MOVE_MOUNT_T_SYMLINKS = 0x10
const MOVE_MOUNT_T_EMPTY_PATH = 0x40

const ENODEV = 19

const SYS_pivot_root = process.arch === 'x64' ? 155 : 41
const SYS_open_tree = 428
const SYS_move_mount = 429
const SYS_fsopen = 430
const SYS_fsconfig = 431
const SYS_fsmount = 432
const SYS_mount_setattr = 442

const nativeMount = lazyFunction(
  'int mount(const char *source, const char *target, const char *fstype, unsigned long flags, const char *data)',
)
const nativeUmount2 = lazyFunction('int umount2(const char *target, int flags)')
const pivotRoot = lazyFunction('long syscall(long nr, const char *new_root, const char *put_old)')
const openTree = lazyFunction(
  'long syscall(long nr, int dirfd, const char *path, unsigned int flags)',
)
const nativeMoveMount = lazyFunction(
  'long syscall(long nr, int from_dirfd, const char *from_path, int to_dirfd, const char *to_path, unsigned int flags)',
)
const mountSetattr = lazyFunction(
  'long syscall(long nr, int dirfd, const char *path, unsigned int flags, const uint8_t *attr, unsigned long size)',
)
const fsopen = lazyFunction('long syscall(long nr, const char *fstype, unsigned int flags)')
const fsconfig = lazyFunction(
  'long syscall(long nr, int fd, unsigned int command, const char *key, const char *value, int aux)',
)
const fsmount = lazyFunction(
  'long syscall(long nr, int fd, unsigned int flags, unsigned int attrs)',
)
const fchdir = lazyFunction('int fchdir(int fd)')
const nativeChroot = lazyFunction('int chroot(const char *path)')

export interface MountRequest {
  readonly source?: string | undefined
  readonly target: string
  readonly fstype?: string | undefined
  readonly flags?: number | undefined
  /** Options as the file system wants them, comma separated. */
  readonly options?: string | undefined
  /** What it is for, for the error; default "cannot mount FSTYPE". */
  readonly step?: string | undefined
  /** The path to name in an error when `target` is a descriptor's. */
  readonly path?: string | undefined
}

/** mount(2). @throws NspawnError, operation `mount` */
export function mount(request: MountRequest): void {
  const { source, target, fstype, flags = 0, options } = request
  if (nativeMount(source ?? null, target, fstype ?? null, flags, options ?? null) < 0) {
    fail('mount', {
      step: request.step ?? `cannot mount ${fstype ?? source ?? 'it'}`,
      path: request.path ?? target,
    })
  }
}

/** Makes the tree at `source` visible at `target` too (mount(2), "Creating a bind mount"). */
export function bindMount(
  source: string,
  target: string,
  depth: 'recursive' | 'one',
  path?: string,
): void {
  mount({
    source,
    target,
    flags: MS_BIND | (depth === 'recursive' ? MS_REC : 0),
    step: 'cannot bind mount',
    path,
  })
}

/** Sets the propagation type of a mount: MS_SHARED, MS_SLAVE or MS_PRIVATE, with MS_REC for all below. */
export function setPropagation(target: string, flags: number, path?: string): void {
  mount({ target, flags, step: 'cannot change mount propagation', path })
}

/** umount2(2). */
export function unmount(target: string, flags = 0): void {
  if (nativeUmount2(target, flags) < 0) fail('umount2', { step: 'cannot unmount', path: target })
}

/** umount2(2) where it may not be a mount point at all. */
export function tryUnmount(target: string, flags = 0): boolean {
  return nativeUmount2(target, flags) >= 0
}

/**
 * Makes the current directory, which must be a mount point, the root, and drops the old one
 * (pivot_root(2), "pivot_root(".", ".")"). Where the root is an initramfs it falls back to moving
 * the mount over it.
 */
export function enterRoot(path: string): void {
  process.chdir(path)
  if (Number(pivotRoot(SYS_pivot_root, '.', '.')) < 0) {
    if (lastErrno() !== 22) fail('pivot_root', { step: 'cannot enter the container root', path })
    mount({ source: '.', target: '/', flags: MS_MOVE, step: 'cannot enter the container root' })
    if (nativeChroot('.') < 0) fail('chroot', { step: 'cannot enter the container root', path })
    process.chdir('/')
    return
  }
  unmount('.', MNT_DETACH)
  process.chdir('/')
}

/** Makes the directory that `fd` stands for the root of this process, and goes there (chroot(2)). */
export function changeRoot(fd: number): void {
  const step = 'cannot enter the root directory'
  if (fchdir(fd) < 0) fail('fchdir', { step })
  if (nativeChroot('.') < 0) fail('chroot', { step })
}

/** A detached copy of the mount at `path` (open_tree(2) with OPEN_TREE_CLONE); close-on-exec. */
export function cloneMount(path: string, depth: 'recursive' | 'one'): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (depth === 'recursive' ? AT_RECURSIVE : 0)
  const fd = Number(openTree(SYS_open_tree, AT_FDCWD, path, flags))
  if (fd < 0) fail('open_tree', { step: 'cannot clone mount', path })
  return fd
}

/** Attaches a detached mount at `target` (move_mount(2)). */
export function attachMount(fd: number, target: string, path?: string): void {
  if (
    Number(
      nativeMoveMount(
        SYS_move_mount,
        fd,
        '',
        AT_FDCWD,
        target,
        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS,
      ),
    ) < 0
  ) {
    fail('move_mount', { step: 'cannot attach mount', path: path ?? target })
  }
}

/** The same at what a descriptor stands for, which must lie in the caller's mount namespace. */
export function attachMountTo(fd: number, target: number, path: string): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
  if (Number(nativeMoveMount(SYS_move_mount, fd, '', target, '', flags)) < 0)
    fail('move_mount', { step: 'cannot attach mount', path })
}

export interface MountAttributes {
  readonly readOnly?: boolean
  readonly noSuid?: boolean
  readonly noDev?: boolean
  readonly noExec?: boolean
  readonly noSymlinkFollow?: boolean
  /** Descriptor of the user namespace to id-map by; only for a mount that is not attached yet. */
  readonly idMap?: number
}

/** As bits of the kernel's. */
function attributeBits(attributes: Omit<MountAttributes, 'idMap'>): number {
  return (
    (attributes.readOnly === true ? MOUNT_ATTR_RDONLY : 0) |
    (attributes.noSuid === true ? MOUNT_ATTR_NOSUID : 0) |
    (attributes.noDev === true ? MOUNT_ATTR_NODEV : 0) |
    (attributes.noExec === true ? MOUNT_ATTR_NOEXEC : 0) |
    (attributes.noSymlinkFollow === true ? MOUNT_ATTR_NOSYMFOLLOW : 0)
  )
}

/** struct mount_attr: attr_set, attr_clr, propagation, userns_fd. */
function mountAttr(attributes: MountAttributes): Buffer {
  const set = attributeBits(attributes) | (attributes.idMap === undefined ? 0 : MOUNT_ATTR_IDMAP)
  const attr = Buffer.alloc(32)
  attr.writeBigUInt64LE(BigInt(set), 0)
  attr.writeBigUInt64LE(BigInt(attributes.idMap ?? 0), 24)
  return attr
}

export interface FileSystemRequest {
  readonly source: string
  readonly fstype: string
  /** Of the file system itself; the mount has `attributes`. */
  readonly readOnly: boolean
  /** `name=value`, or a name alone. */
  readonly options: readonly string[]
  readonly attributes: Omit<MountAttributes, 'idMap'>
}

const FSOPEN_CLOEXEC = 1
const FSMOUNT_CLOEXEC = 1
const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_CMD_CREATE = 6

/** Mounts a file system nowhere yet (fsopen(2), fsconfig(2), fsmount(2)). @returns a descriptor, close-on-exec */
export function mountDetached(request: FileSystemRequest): number {
  const { source, fstype, readOnly, options, attributes } = request
  const context = { step: `cannot mount ${fstype}`, path: source }
  const fd = Number(fsopen(SYS_fsopen, fstype, FSOPEN_CLOEXEC))
  if (fd < 0) {
    const hint = 'this kernel does not know that file system; a module of it may be missing'
    fail('fsopen', lastErrno() === ENODEV ? { ...context, hint } : context)
  }
  try {
    const configure = (command: number, key: string | null, value: string | null) => {
      if (Number(fsconfig(SYS_fsconfig, fd, command, key, value, 0)) < 0)
        fail(key === null ? 'fsconfig' : `fsconfig(${key})`, context)
    }
    configure(FSCONFIG_SET_STRING, 'source', source)
    if (readOnly) configure(FSCONFIG_SET_FLAG, 'ro', null)
    for (const option of options) {
      const equals = option.indexOf('=')
      if (equals < 0) configure(FSCONFIG_SET_FLAG, option, null)
      else configure(FSCONFIG_SET_STRING, option.slice(0, equals), option.slice(equals + 1))
    }
    configure(FSCONFIG_CMD_CREATE, null, null)
    const mounted = Number(fsmount(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributeBits(attributes)))
    if (mounted < 0) fail('fsmount', context)
    return mounted
  } finally {
    close(fd)
  }
}

/** mount_setattr(2) on the mount that `fd` is the root of. */
export function setMountAttributes(
  fd: number,
  attributes: MountAttributes,
  depth: 'recursive' | 'one',
  path: string,
): void {
  if (!trySetMountAttributes(fd, attributes, depth)) {
    fail('mount_setattr', { step: 'cannot change mount attributes', path })
  }
}

/** Like `setMountAttributes()`, telling failure by its result; errno is left for `lastErrno()`. */
export function trySetMountAttributes(
  fd: number,
  attributes: MountAttributes,
  depth: 'recursive' | 'one',
): boolean {
  const flags = AT_EMPTY_PATH | (depth === 'recursive' ? AT_RECURSIVE : 0)
  return Number(mountSetattr(SYS_mount_setattr, fd, '', flags, mountAttr(attributes), 32)) >= 0
}
