/**
 * fork(2) after which JavaScript goes on in the child.
 *
 * V8 marks its heap pages MADV_DONTFORK, so a plain fork dies at its first allocation. Before the fork every
 * anonymous private mapping is therefore marked MADV_DOFORK again. A page mapped between that pass and the
 * fork would be lost to the child; so the child waits at a gate, the parent looks at its mappings once more,
 * and when one appeared that the pass had not seen, this child is killed and another one made. Node must run
 * with --single-threaded-gc, --no-concurrent-recompilation and --no-concurrent-sparkplug: the child has no V8
 * worker threads, and a collection of garbage in it would wait for those that were at work.
 *
 * In the child there is no event loop: only synchronous calls, and `exitProcess()` or `execute()` at the end.
 */
import { lazyFunction } from './lazy-function.ts'
import { addressOf, close, open, pipe, read, write, O_DIRECTORY, O_PATH, O_RDONLY } from './fd.ts'
import { fail, libc } from './libc.ts'
import { joinNamespace, unshare, CLONE_NEWPID } from './namespaces.ts'
import { exitProcess, kill, waitForChild, SIGKILL } from './process.ts'

// Bound here, not at their first call, which comes when memory must not change any more.
const nativeFork = libc.func('int fork()')
const nativeClone = libc.func(
  'long syscall(long nr, unsigned long flags, void *stack, void *a, void *b, void *c)',
)
const nativeClone3 = libc.func('long syscall(long nr, const uint8_t *args, unsigned long size)')
const madvise = lazyFunction('int madvise(uint64_t start, uint64_t length, int advice)')
const openat = lazyFunction('int openat(int dirfd, const char *path, int flags)')

const MADV_DOFORK = 11
const O_RDONLY_CLOEXEC = 0o2000000
const SYS_clone = process.arch === 'x64' ? 56 : 220
const SYS_clone3 = 435
const SIGCHLD = 17
/** Refused by clone(2) without CLONE_VM. */
const CLONE_SIGHAND = 0x800
/** More retries than this mean that something else maps memory all the time. */
const MAX_ATTEMPTS = 1000

/** A descriptor of the host's /proc, which stays usable after the root has been changed. */
let procFd: number | undefined
let scratch = Buffer.alloc(1 << 17)
/** The text of maps as it was last parsed; kept for `settle()`. */
let parsed = Buffer.alloc(0)
let retries = 0

/** How often a child was given up because a page came in between; for tests and `--debug`. */
export function forkRetries(): number {
  return retries
}

/** Reads /proc/self/maps into `scratch`. @returns its length in bytes */
function readMaps(): number {
  if (procFd === undefined) holdProc()
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
  return length
}

/** Starts and ends of mappings, in turn, ascending. Typed, so that filling it makes little garbage. */
interface Mappings {
  bounds: Float64Array
  count: number
}

const marked: Mappings = { bounds: new Float64Array(2 * 1024), count: 0 }
const present: Mappings = { bounds: new Float64Array(2 * 1024), count: 0 }

/** What a mapping without a file has behind its permissions: offset, device and inode (proc(5)). */
const ANONYMOUS = ' 00000000 00:00 0 '
const [MINUS, BLANK, NEWLINE, LETTER_P, BRACKET, LETTER_V] = [0x2d, 0x20, 0x0a, 0x70, 0x5b, 0x76]

/**
 * The anonymous private mappings of this process but for the kernel's own ([vdso], [vvar]). A line of maps is
 * `START-END PERM OFFSET MAJOR:MINOR INODE   PATH`. Searched natively and with few strings: a collection of garbage
 * between the pass and the fork would map new pages.
 */
function listAnonymousMappings(into: Mappings): number {
  const length = readMaps()
  into.count = 0
  for (let at = 0, end: number; at < length; at = end + 1) {
    end = scratch.indexOf(NEWLINE, at)
    const blank = scratch.indexOf(BLANK, at)
    if (scratch[blank + 4] !== LETTER_P) continue
    const rest = blank + 5
    if (scratch.toString('latin1', rest, rest + ANONYMOUS.length) !== ANONYMOUS) continue
    let name = rest + ANONYMOUS.length
    while (scratch[name] === BLANK) name++
    if (scratch[name] === BRACKET && scratch[name + 1] === LETTER_V) continue
    const minus = scratch.indexOf(MINUS, at)
    if (into.count * 2 === into.bounds.length) grow(into)
    into.bounds[into.count * 2] = Number.parseInt(scratch.toString('latin1', at, minus), 16)
    into.bounds[into.count * 2 + 1] = Number.parseInt(
      scratch.toString('latin1', minus + 1, blank),
      16,
    )
    into.count++
  }
  return length
}

function grow(mappings: Mappings): void {
  const bounds = new Float64Array(mappings.bounds.length * 2)
  bounds.set(mappings.bounds)
  mappings.bounds = bounds
}

/** Marks everything to be inherited. */
function markHeapInheritable(): void {
  listAnonymousMappings(marked)
  for (let i = 0; i < marked.count; i++) {
    const start = marked.bounds[i * 2] as number
    madvise(start, (marked.bounds[i * 2 + 1] as number) - start, MADV_DOFORK)
  }
}

/**
 * Whether all that is mapped now had been marked. Bounds need not be the same: marking makes neighbours alike, and
 * the kernel merges them.
 */
function nothingCameBetween(): boolean {
  const length = listAnonymousMappings(present)
  if (parsed.length !== length) parsed = Buffer.alloc(length)
  scratch.copy(parsed, 0, 0, length)
  let at = 0
  for (let i = 0; i < present.count; i++) {
    let covered = present.bounds[i * 2] as number
    const end = present.bounds[i * 2 + 1] as number
    while (at < marked.count && (marked.bounds[at * 2 + 1] as number) <= covered) at++
    while (covered < end) {
      if (at === marked.count || (marked.bounds[at * 2] as number) > covered) return false
      covered = marked.bounds[at * 2 + 1] as number
      if (covered <= end) at++
    }
  }
  return true
}

/**
 * Marks everything, and comes back when nothing is mapped any more by the looking itself, nor by a clone(2) that
 * the kernel refuses: then hardly ever must a child be given up.
 */
function settle(): void {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    markHeapInheritable()
    clone(CLONE_SIGHAND)
    if (!nothingCameBetween()) continue
    if (
      readMaps() === parsed.length &&
      scratch.compare(parsed, 0, parsed.length, 0, parsed.length) === 0
    )
      return
  }
}

/**
 * Forks a Node process, which has threads.
 *
 * @param pidNamespace `new`: the child is the first process of a pid namespace of its own
 * @returns 0 in the child; the child's pid, as this process sees it, in the parent
 */
export function forkWithHeap(pidNamespace: 'same' | 'new' = 'same'): number {
  if (pidNamespace === 'same') return forkBehindGate(() => nativeFork() as number, 'fork')
  const own = open('/proc/self/ns/pid', O_RDONLY)
  // Both change nothing here: their first call binds them, which must not be between the pass and the fork.
  unshare(0, 'cannot make a pid namespace')
  joinNamespace(own, CLONE_NEWPID)
  try {
    return forkBehindGate(() => forkIntoPidNamespace(own), 'fork')
  } finally {
    close(own)
  }
}

/**
 * unshare(2) of a pid namespace concerns only children of this very thread, so a process with threads may do it, and
 * undo it right after the fork (pid_namespaces(7)). Each attempt needs a fresh one: a namespace ends with its first
 * process.
 */
function forkIntoPidNamespace(own: number): number {
  unshare(CLONE_NEWPID, 'cannot make a pid namespace')
  const pid: number = nativeFork()
  if (pid !== 0) joinNamespace(own, CLONE_NEWPID)
  return pid
}

/**
 * Forks a child made by `forkWithHeap()` once more, into new namespaces when wanted. Such a child has one thread, so
 * the raw clone(2) will do, which does not take the C library's locks. It must be this one: fork(3) would run
 * libuv's handler, which closes and reopens descriptors by numbers that may be ours by now.
 *
 * @param namespaces CLONE_NEW… flags for the new child
 * @returns as `forkWithHeap()`
 */
export function forkChildWithHeap(namespaces = 0): number {
  return forkBehindGate(() => clone(namespaces | SIGCHLD), 'clone')
}

/**
 * As `forkChildWithHeap()`, for a child that shall have the next pid of this namespace, although a child that must
 * be given up costs one: the next attempt asks for its pid again. Only who has CAP_SYS_ADMIN (or
 * CAP_CHECKPOINT_RESTORE) may ask; others have to make the first attempt do.
 */
export function forkChildWithNextPid(): number {
  return forkBehindGate(
    (lost) => {
      const pid = lost === undefined ? -1 : cloneWithPid(lost)
      return pid < 0 ? clone(SIGCHLD) : pid
    },
    'clone',
    settle,
  )
}

function clone(flags: number): number {
  return Number(nativeClone(SYS_clone, flags, null, null, null, null))
}

/** clone3(2) with `set_tid`. @returns as clone(2); below 0 also where the kernel, or a filter, has none (Linux 5.5) */
function cloneWithPid(pid: number): number {
  const wanted = Buffer.alloc(4)
  wanted.writeUInt32LE(pid)
  // struct clone_args: 64-bit fields, of which the fifth is the signal, the ninth and tenth the array of pids.
  const args = Buffer.alloc(80)
  args.writeBigUInt64LE(BigInt(SIGCHLD), 32)
  args.writeBigUInt64LE(addressOf(wanted), 64)
  args.writeBigUInt64LE(1n, 72)
  return Number(nativeClone3(SYS_clone3, args, args.length))
}

/** @param makeChild as fork(2); told the pid of the child that was given up before */
function forkBehindGate(
  makeChild: (lost: number | undefined) => number,
  operation: string,
  prepare = markHeapInheritable,
): number {
  const go = Buffer.alloc(1)
  let lost: number | undefined
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const [gateOut, gateIn] = pipe()
    prepare()
    const pid = makeChild(lost)
    if (pid === 0) {
      passGate(gateOut, gateIn, go)
      return 0
    }
    if (pid < 0) fail(operation, { step: 'cannot start a process' })
    close(gateOut)
    // A child that misses a page may die before it is let go; then the write fails, and it is made anew.
    const released = nothingCameBetween() && tryWrite(gateIn, go)
    close(gateIn)
    if (released) return pid
    retries++
    kill(pid, SIGKILL)
    waitForChild(pid)
    lost ??= pid
  }
  throw new Error(`fork: memory kept changing in ${MAX_ATTEMPTS} attempts`)
}

/** The child's side. It must not throw: its caller's code is not the child's to run yet. */
function passGate(gateOut: number, gateIn: number, go: Buffer): void {
  try {
    close(gateIn)
    if (read(gateOut, go) === 1) {
      close(gateOut)
      return
    }
  } catch {
    // Falls through to the exit, as when the parent gave this child up, or died.
  }
  exitProcess(99)
}

function tryWrite(fd: number, bytes: Buffer): boolean {
  try {
    return write(fd, bytes) === bytes.length
  } catch {
    return false
  }
}

/**
 * Takes hold of the host's /proc, by a descriptor that stays usable after the root has been changed. A process that
 * has closed its descriptors calls it before it leaves the host's root.
 */
export function holdProc(): void {
  procFd = open('/proc', O_PATH | O_DIRECTORY)
}
