/**
 * Paths that never leave a root: openat2(2) with RESOLVE_IN_ROOT. Everything that touches a container's tree
 * from outside goes through here, since the tree is hostile: it may hold any symlink.
 *
 * A descriptor is used as `/proc/self/fd/N`, and a name below it as `/proc/self/fd/N/NAME`.
 */
import { lazyFunction } from './lazy-function.ts'
import { chownSync, fstatSync, mkdirSync } from 'node:fs'
import { close, O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH } from './fd.ts'
import { errnoName } from './errno.ts'
import { fail, lastErrno } from './libc.ts'

const SYS_openat2 = 437
const RESOLVE_NO_XDEV = 0x01
const RESOLVE_NO_MAGICLINKS = 0x02
const RESOLVE_NO_SYMLINKS = 0x04
const RESOLVE_BENEATH = 0x08
const RESOLVE_IN_ROOT = 0x10
const ENOENT = 2
const EAGAIN = 11
const EAGAIN_TRIES = 1000

const openat2 = lazyFunction(
  'long syscall(long nr, int dirfd, const void *path, const void *how, unsigned long size)',
)
/** struct open_how: flags, mode, resolve. */
const how = new BigUint64Array(3)
const howBytes = new Uint8Array(how.buffer)

/** @returns a descriptor, or -1 with errno set */
function resolve(
  directory: number,
  path: Uint8Array,
  resolution: number,
  flags: number,
  mode: number,
): number {
  how[0] = BigInt(flags | O_CLOEXEC)
  how[1] = BigInt(mode)
  how[2] = BigInt(resolution | RESOLVE_NO_MAGICLINKS)
  for (let tries = 0; ; tries++) {
    const fd = Number(openat2(SYS_openat2, directory, path, howBytes, 24))
    // A rename or a mount anywhere on the host while `..` was followed (openat2(2), EAGAIN).
    if (fd >= 0 || lastErrno() !== EAGAIN || tries === EAGAIN_TRIES) return fd
  }
}

/** Of a path inside: as a C string. */
const inRoot = (root: number, path: string, flags: number, mode: number) =>
  resolve(root, Buffer.from(`${path}\0`), RESOLVE_IN_ROOT, flags, mode)

/**
 * Opens `path` as a process rooted at `root` would.
 *
 * @param root descriptor of the root directory
 * @throws NspawnError, operation `openat2`, subject the path inside
 */
export function openInRoot(root: number, path: string, flags = O_PATH, mode = 0): number {
  const fd = inRoot(root, path, flags, mode)
  if (fd < 0) fail('openat2', { step: 'cannot open in the container tree', path })
  return fd
}

/** Like `openInRoot()`; undefined when there is no such thing. */
export function openInRootIfPresent(
  root: number,
  path: string,
  flags = O_PATH,
  mode = 0,
): number | undefined {
  const fd = inRoot(root, path, flags, mode)
  if (fd >= 0) return fd
  if (lastErrno() === ENOENT) return undefined
  return fail('openat2', { step: 'cannot open in the container tree', path })
}

const resolutions = {
  beneath: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
  'in root': RESOLVE_IN_ROOT,
}

/**
 * Opens a path of any bytes below `directory`, on the same mount.
 *
 * @param path NUL-terminated
 * @param resolution `beneath`: a symlink anywhere in the path is refused (`ELOOP`); `in root`: symlinks are followed as
 *   by a process rooted at `directory`
 * @returns a descriptor, or the errno name when the kernel refuses
 */
export function tryOpenBelow(
  directory: number,
  path: Uint8Array,
  resolution: keyof typeof resolutions,
  flags: number,
  mode = 0,
): number | string {
  const fd = resolve(directory, path, resolutions[resolution] | RESOLVE_NO_XDEV, flags, mode)
  return fd >= 0 ? fd : errnoName(lastErrno())
}

/** The name under which a descriptor can be used as a path, or, with `name`, an entry of that directory. */
export function descriptorPath(fd: number, name?: string): string {
  return name === undefined ? `/proc/self/fd/${fd}` : `/proc/self/fd/${fd}/${name}`
}

export interface NewInode {
  /** Permission bits. */
  readonly mode: number
  /** Owner and group of what is made. */
  readonly owner: number
}

/**
 * Makes `path` and its missing parents; what exists, also through symlinks, is taken as it is.
 *
 * @returns an O_PATH descriptor of the directory
 */
export function makeDirectoryInRoot(root: number, path: string, inode: NewInode): number {
  const existing = openInRootIfPresent(root, path, O_PATH | O_DIRECTORY)
  if (existing !== undefined) return existing
  const { parent, name } = splitPath(path)
  const parentFd = makeDirectoryInRoot(root, parent, { mode: 0o755, owner: inode.owner })
  try {
    const made = descriptorPath(parentFd, name)
    mkdirSync(made, { mode: inode.mode })
    if (inode.owner !== 0) chownSync(made, inode.owner, inode.owner)
    return openInRoot(parentFd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW)
  } finally {
    close(parentFd)
  }
}

/** Splits off the last component: `/a/b` → `/a` and `b`. */
export function splitPath(path: string): { parent: string; name: string } {
  const trimmed = path.replace(/\/+$/, '')
  const cut = trimmed.lastIndexOf('/')
  return { parent: cut <= 0 ? '/' : trimmed.slice(0, cut), name: trimmed.slice(cut + 1) }
}

/** Runs `use` with the path of a descriptor for `path` in `root`, and closes it. */
export function withPathInRoot<T>(
  root: number,
  path: string,
  use: (hostPath: string, fd: number) => T,
): T {
  const fd = openInRoot(root, path)
  try {
    return use(descriptorPath(fd), fd)
  } finally {
    close(fd)
  }
}

/** What an open descriptor is: the `fstat` of it. */
export function isDirectory(fd: number): boolean {
  return fstatSync(fd).isDirectory()
}
