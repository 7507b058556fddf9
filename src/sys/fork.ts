/**
 * fork(2) after which JavaScript goes on in the child.
 *
 * V8 marks its heap pages MADV_DONTFORK, so a plain fork dies at its first allocation. Before the fork every
 * anonymous private mapping is therefore marked MADV_DOFORK again. A page mapped between that pass and the
 * fork would be lost to the child; so the child waits at a gate, the parent looks at its mappings once more,
 * and when one appeared that the pass had not seen, this child is killed and another one made. Node must run
 * with --single-threaded-gc and --no-concurrent-recompilation: the child has no V8 worker threads, and would
 * wait for them.
 *
 * In the child there is no event loop: only synchronous calls, and `exitProcess()` or `execute()` at the end.
 */
import { close, open, pipe, read, write, O_DIRECTORY, O_PATH } from './fd.ts'
import { fail, libc } from './libc.ts'
import { exitProcess, kill, waitForChild, SIGKILL } from './process.ts'

const nativeFork = libc.func('int fork()')
const nativeClone = libc.func('long syscall(long nr, unsigned long flags, void *stack, void *a, void *b, void *c)')
const madvise = libc.func('int madvise(uint64_t start, uint64_t length, int advice)')
const openat = libc.func('int openat(int dirfd, const char *path, int flags)')

const MADV_DOFORK = 11
const O_RDONLY_CLOEXEC = 0o2000000
const SYS_clone = process.arch === 'x64' ? 56 : 220
const SIGCHLD = 17
/** More retries than this mean that something else maps memory all the time. */
const MAX_ATTEMPTS = 1000

/** A descriptor of the host's /proc, which stays usable after the root has been changed. */
let procFd: number | undefined
let scratch = Buffer.alloc(1 << 17)
let retries = 0

/** How often a child was given up because a page came in between; for tests and `--debug`. */
export function forkRetries(): number {
  return retries
}

function readMaps(): string {
  procFd ??= open('/proc', O_PATH | O_DIRECTORY)
  const fd: number = openat(procFd, 'self/maps', O_RDONLY_CLOEXEC)
  if (fd < 0) fail('open', { path: '/proc/self/maps', step: 'cannot read the memory map' })
  let length = 0
  for (;;) {
    if (length === scratch.length) scratch = Buffer.concat([scratch, Buffer.alloc(scratch.length)])
    const n = read(fd, scratch.subarray(length)) ?? 0
    if (n === 0) break
    length += n
  }
  close(fd)
  return scratch.latin1Slice(0, length)
}

const anonymousPrivate = /^([0-9a-f]+)-([0-9a-f]+) ...p \S+ \S+ 0 *(?!\[v)/gm

/** The `start-end` keys of all anonymous private mappings. */
function* anonymousMappings(maps: string): Generator<[key: string, start: string, end: string]> {
  for (const match of maps.matchAll(anonymousPrivate)) {
    const [, start = '', end = ''] = match
    yield [`${start}-${end}`, start, end]
  }
}

/** Marks everything to be inherited; returns the keys of what it marked. */
function markHeapInheritable(): Set<string> {
  const seen = new Set<string>()
  for (let fresh = true; fresh; ) {
    fresh = false
    for (const [key, start, end] of anonymousMappings(readMaps())) {
      if (seen.has(key)) continue
      seen.add(key)
      fresh = true
      const from = BigInt(`0x${start}`)
      madvise(from, BigInt(`0x${end}`) - from, MADV_DOFORK)
    }
  }
  return seen
}

/**
 * Forks.
 *
 * @param namespaces CLONE_NEW… flags for the child. With any, the raw clone(2) is used, which does not take
 *   the C library's locks: only for a process that is single-threaded, that is, for a forked child.
 * @returns 0 in the child; the child's pid, as this process sees it, in the parent
 */
export function forkWithHeap(namespaces = 0): number {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const [gateOut, gateIn] = pipe()
    const go = Buffer.alloc(1)
    const seen = markHeapInheritable()
    const pid =
      namespaces === 0
        ? (nativeFork() as number)
        : Number(nativeClone(SYS_clone, namespaces | SIGCHLD, null, null, null, null))
    if (pid === 0) {
      close(gateIn)
      if (read(gateOut, go) !== 1) exitProcess(99) // the parent gave this child up, or died
      close(gateOut)
      return 0
    }
    if (pid < 0) fail(namespaces === 0 ? 'fork' : 'clone', { step: 'cannot start a process' })
    close(gateOut)
    const complete = [...anonymousMappings(readMaps())].every(([key]) => seen.has(key))
    if (complete) write(gateIn, go)
    close(gateIn)
    if (complete) return pid
    retries++
    kill(pid, SIGKILL)
    waitForChild(pid)
  }
  throw new Error(`fork: memory kept changing in ${MAX_ATTEMPTS} attempts`)
}

/** Drops the /proc descriptor in a child that will not fork again. */
export function forgetProc(): void {
  if (procFd !== undefined) close(procFd)
  procFd = undefined
}
