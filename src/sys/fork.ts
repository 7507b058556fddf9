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
import { lazyFunction } from './lazy-function.ts'
import { close, open, pipe, read, write, O_DIRECTORY, O_PATH, O_RDONLY } from './fd.ts'
import { fail } from './libc.ts'
import { joinNamespace, unshare, CLONE_NEWPID } from './namespaces.ts'
import { exitProcess, kill, waitForChild, SIGKILL } from './process.ts'

const nativeFork = lazyFunction('int fork()')
const nativeClone = lazyFunction(
  'long syscall(long nr, unsigned long flags, void *stack, void *a, void *b, void *c)',
)
const madvise = lazyFunction('int madvise(uint64_t start, uint64_t length, int advice)')
const openat = lazyFunction('int openat(int dirfd, const char *path, int flags)')

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

/** Starts and ends of mappings, in turn, ascending. Typed, so that filling it makes no garbage to collect. */
interface Mappings {
  readonly bounds: Float64Array
  count: number
}

/** More mappings than this are not expected of a Node process (vm.max_map_count allows 65530). */
const MAX_MAPPINGS = 65530

let known: Mappings = { bounds: new Float64Array(2 * 1024), count: 0 }
let fresh: Mappings = { bounds: new Float64Array(2 * 1024), count: 0 }

/**
 * The anonymous private mappings of this process but for the kernel's own ([vdso], [vvar]). A line of maps is
 * `START-END PERM OFFSET MAJOR:MINOR INODE   PATH` (proc(5)); parsed by hand since strings would be garbage, and a
 * collection between the pass and the fork maps new pages.
 */
function listAnonymousMappings(into: Mappings): Mappings {
  const length = readMaps()
  let target = into
  target.count = 0
  for (let at = 0; at < length;) {
    let start = 0
    for (; scratch[at] !== 0x2d; at++) start = start * 16 + hexDigit(scratch[at] as number)
    let end = 0
    for (at++; scratch[at] !== 0x20; at++) end = end * 16 + hexDigit(scratch[at] as number)
    const isPrivate = scratch[at + 4] === 0x70
    at += 6
    while (scratch[at] !== 0x20) at++ // offset
    at++
    while (scratch[at] !== 0x20) at++ // device
    at++
    const hasNoInode = scratch[at] === 0x30 && scratch[at + 1] === 0x20
    while (scratch[at] !== 0x20 && scratch[at] !== 0x0a) at++
    while (scratch[at] === 0x20) at++
    const isKernels = scratch[at] === 0x5b && scratch[at + 1] === 0x76
    while (at < length && scratch[at] !== 0x0a) at++
    at++
    if (!isPrivate || !hasNoInode || isKernels) continue
    if (target.count * 2 === target.bounds.length) target = grown(target)
    target.bounds[target.count * 2] = start
    target.bounds[target.count * 2 + 1] = end
    target.count++
  }
  return target
}

function hexDigit(byte: number): number {
  return byte <= 0x39 ? byte - 0x30 : byte - 0x57
}

function grown(mappings: Mappings): Mappings {
  if (mappings.count > MAX_MAPPINGS) throw new Error('fork: too many mappings')
  const bounds = new Float64Array(mappings.bounds.length * 2)
  bounds.set(mappings.bounds)
  return { bounds, count: mappings.count }
}

/**
 * Marks every mapping that is in `fresh` and not, with the same bounds, in `known`.
 *
 * @returns how many there were
 */
function forEachNew(action: 'mark' | 'count'): number {
  let found = 0
  let at = 0
  for (let i = 0; i < fresh.count; i++) {
    const start = fresh.bounds[i * 2] as number
    const end = fresh.bounds[i * 2 + 1] as number
    while (at < known.count && (known.bounds[at * 2] as number) < start) at++
    if (at < known.count && known.bounds[at * 2] === start && known.bounds[at * 2 + 1] === end)
      continue
    found++
    if (action === 'mark') madvise(start, end - start, MADV_DOFORK)
  }
  return found
}

/** Marks everything to be inherited; afterwards `known` lists what was marked. */
function markHeapInheritable(): void {
  known.count = 0
  for (;;) {
    fresh = listAnonymousMappings(fresh)
    const found = forEachNew('mark')
    ;[known, fresh] = [fresh, known]
    if (found === 0) return
  }
}

/** Whether all that is mapped now had been marked. */
function nothingCameBetween(): boolean {
  fresh = listAnonymousMappings(fresh)
  return forEachNew('count') === 0
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
  const flags = namespaces | SIGCHLD
  return forkBehindGate(
    () => Number(nativeClone(SYS_clone, flags, null, null, null, null)),
    'clone',
  )
}

function forkBehindGate(makeChild: () => number, operation: string): number {
  const go = Buffer.alloc(1)
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const [gateOut, gateIn] = pipe()
    markHeapInheritable()
    const pid = makeChild()
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
