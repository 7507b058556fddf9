/** Namespaces: leaving, joining, and user namespaces that exist only to map ids. <sched.h>, user_namespaces(7) */
import { lazyFunction } from './lazy-function.ts'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { addressOf } from './fd.ts'
import { fail } from './libc.ts'
import { kill, openPidfd, waitForChild, SIGCHLD, SIGKILL } from './process.ts'

export const CLONE_NEWNS = 0x00020000
export const CLONE_NEWCGROUP = 0x02000000
export const CLONE_NEWUTS = 0x04000000
export const CLONE_NEWIPC = 0x08000000
export const CLONE_NEWUSER = 0x10000000
export const CLONE_NEWPID = 0x20000000
export const CLONE_NEWNET = 0x40000000
const CLONE_VM = 0x100

const nativeUnshare = lazyFunction('int unshare(int flags)')
const nativeSetns = lazyFunction('int setns(int fd, int nstype)')
const nativeClone = lazyFunction('int clone(void *fn, uint64_t stack, int flags, uint64_t arg)')
const dlsym = lazyFunction('void *dlsym(void *handle, const char *symbol)')
const nativeSethostname = lazyFunction('int sethostname(const char *name, unsigned long length)')
const nativeSetdomainname = lazyFunction(
  'int setdomainname(const char *name, unsigned long length)',
)

/** unshare(2). CLONE_NEWUSER needs a single-threaded caller. */
export function unshare(flags: number, step: string): void {
  if (nativeUnshare(flags) < 0) fail('unshare', { step })
}

/** setns(2): joins the namespace that `fd` stands for. */
export function joinNamespace(fd: number, type = 0): void {
  if (nativeSetns(fd, type) < 0) fail('setns', { step: 'cannot join namespace' })
}

export function setHostname(name: string): boolean {
  return nativeSethostname(name, Buffer.byteLength(name)) >= 0
}

/** setdomainname(2): the NIS domain of the UTS namespace. */
export function setDomainname(name: string): void {
  if (nativeSetdomainname(name, Buffer.byteLength(name)) < 0)
    fail('setdomainname', { step: 'cannot set the domain name', path: name })
}

export interface IdMapLine {
  /** First id inside the namespace. */
  readonly inside: number
  /** First id outside. */
  readonly outside: number
  readonly length: number
}

export function formatIdMap(lines: readonly IdMapLine[]): string {
  return lines.map((line) => `${line.inside} ${line.outside} ${line.length}\n`).join('')
}

/**
 * Writes uid_map and gid_map of a process that sits in a fresh user namespace (user_namespaces(7)).
 *
 * @param proc where a proc of the pid namespace that `pid` is counted in is mounted
 */
export function writeIdMaps(
  pid: number,
  lines: readonly IdMapLine[],
  proc = '/proc',
  groups: readonly IdMapLine[] = lines,
): void {
  writeFileSync(`${proc}/${pid}/uid_map`, formatIdMap(lines))
  writeFileSync(`${proc}/${pid}/gid_map`, formatIdMap(groups))
}

/** How long a helper may live that its owner was killed away from. */
const HELPER_LIFETIME_US = 1_000_000
const HELPER_ATTEMPTS = 10

/**
 * A user namespace that no process lives in, with this map: what mount_setattr(2) wants for id-mapped mounts.
 *
 * The namespace is born with a process that shares our memory and only sleeps, in libc's usleep(): that costs no
 * copy of the heap. It is killed once the namespace's descriptor is held; should we be killed first, it ends by
 * itself.
 *
 * @param groups the map of group ids, where it is another one
 * @returns a close-on-exec descriptor of the namespace
 */
export function openIdMapNamespace(
  lines: readonly IdMapLine[],
  groups: readonly IdMapLine[] = lines,
): number {
  for (let attempt = 1; ; attempt++) {
    const stack = Buffer.alloc(64 * 1024)
    const top = (addressOf(stack) + BigInt(stack.length)) & ~0xfn
    const flags = CLONE_NEWUSER | CLONE_VM | SIGCHLD
    const pid: number = nativeClone(dlsym(null, 'usleep'), top, flags, HELPER_LIFETIME_US)
    if (pid < 0) fail('clone', { step: 'cannot make a user namespace for id mapping' })
    try {
      const visible = pidInProc(pid)
      writeIdMaps(visible, lines, '/proc', groups)
      return openSync(`/proc/${visible}/ns/user`, 'r')
    } catch (error) {
      // On a machine so busy that the helper slept out before we had our turn.
      const ended = (error as NodeJS.ErrnoException).code === 'ENOENT'
      if (!ended || attempt === HELPER_ATTEMPTS) throw error
    } finally {
      kill(pid, SIGKILL)
      waitForChild(pid)
    }
  }
}

/**
 * The number under which /proc shows a child of ours. In a fresh pid namespace that still looks at the host's /proc
 * it is not the one that clone(2) returned.
 */
function pidInProc(pid: number): number {
  const pidfd = openPidfd(pid)
  try {
    const line = /^Pid:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${pidfd}`, 'latin1'))
    return Number(line?.[1])
  } finally {
    closeSync(pidfd)
  }
}

/** Whether the kernel has user namespaces at all. */
export function hasUserNamespaces(): boolean {
  try {
    closeSync(openSync('/proc/self/ns/user', 'r'))
    return true
  } catch {
    return false
  }
}
