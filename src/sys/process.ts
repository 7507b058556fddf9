/** Processes and their ends: waiting, signals, prctl, exec. <sys/wait.h>, <signal.h>, <sys/prctl.h> */
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const wait4 = lazyFunction(
  'int wait4(int pid, _Out_ int *status, int options, _Out_ uint8_t *usage)',
)
const nativeKill = lazyFunction('int kill(int pid, int sig)')
const exitNow = lazyFunction('void _exit(int status)')
const nativeExecve = lazyFunction(
  'int execve(const char *path, const char **argv, const char **envp)',
)
const nativePrctl = lazyFunction(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
)
const prctlString = lazyFunction(
  'int prctl(int option, const char *a, unsigned long b, unsigned long c, unsigned long d)',
)
const nativeSetsid = lazyFunction('int setsid()')
const sigprocmask = lazyFunction('int sigprocmask(int how, const uint8_t *set, _Out_ uint8_t *old)')
const nativeSigaction = lazyFunction('int sigaction(int sig, const uint8_t *act, uint8_t *old)')
const sigtimedwait = lazyFunction(
  'int sigtimedwait(const uint8_t *set, uint8_t *info, const uint8_t *timeout)',
)
const pidfdOpen = lazyFunction('long syscall(long nr, int pid, unsigned int flags)')
const nativeAlarm = lazyFunction('unsigned int alarm(unsigned int seconds)')
const nativeUmask = lazyFunction('unsigned int umask(unsigned int mask)')
const nativePersonality = lazyFunction('int personality(unsigned long persona)')
const nativeReboot = lazyFunction('int reboot(int command)')
const keyctl = lazyFunction('long syscall(long nr, int operation, long a, long b, long c, long d)')
const schedSetaffinity = lazyFunction(
  'int sched_setaffinity(int pid, unsigned long size, const uint8_t *mask)',
)

const pidfdSendSignal = lazyFunction(
  'long syscall(long nr, int pidfd, int signal, void *info, unsigned int flags)',
)

const SYS_pidfd_send_signal = 424
const SYS_pidfd_open = 434
const SYS_keyctl = process.arch === 'x64' ? 250 : 219
const ESRCH = 3
const EINTR = 4
const ECHILD = 10

export const PR_SET_PDEATHSIG = 1
export const PR_SET_DUMPABLE = 4
export const PR_SET_KEEPCAPS = 8
export const PR_SET_NAME = 15
export const PR_CAPBSET_DROP = 24
export const PR_SET_CHILD_SUBREAPER = 36
export const PR_SET_NO_NEW_PRIVS = 38
export const PR_CAP_AMBIENT = 47
export const SIGHUP = 1
export const SIGINT = 2
export const SIGQUIT = 3
export const SIGKILL = 9
export const SIGTERM = 15
export const SIGCHLD = 17
export const SIGCONT = 18
export const SIGWINCH = 28
/** glibc keeps two real-time signals for itself: SIGRTMIN is 34. */
export const SIGRTMIN = 34

export type ExitReason =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'signaled'; readonly signal: number }

export function exitReason(status: number): ExitReason {
  const signal = status & 0x7f
  return signal === 0
    ? { kind: 'exited', status: (status >> 8) & 0xff }
    : { kind: 'signaled', signal }
}

/** What a process used, with all of its children that it waited for (getrusage(2)). */
export interface ResourceUsage {
  readonly userMs: number
  readonly systemMs: number
  /** The largest resident set of any of them. */
  readonly maxRssKb: number
}

/** struct rusage on 64-bit Linux: user and system time as seconds and microseconds, the largest resident set. */
function readUsage(usage: Buffer): ResourceUsage {
  const milliseconds = (at: number) =>
    Number(usage.readBigInt64LE(at)) * 1e3 + Number(usage.readBigInt64LE(at + 8)) / 1e3
  return {
    userMs: milliseconds(0),
    systemMs: milliseconds(16),
    maxRssKb: Number(usage.readBigInt64LE(32)),
  }
}

export interface EndedChild {
  readonly pid: number
  readonly reason: ExitReason
  readonly usage: ResourceUsage
}

/**
 * wait4(2).
 *
 * @param pid -1 for any child
 * @returns undefined when there is no such child, or, with `block: 'no'`, none has ended
 */
export function waitForChild(pid: number, block: 'yes' | 'no' = 'yes'): EndedChild | undefined {
  const status = [0]
  const usage = Buffer.alloc(144)
  for (;;) {
    const ended: number = wait4(pid, status, block === 'yes' ? 0 : 1, usage)
    if (ended > 0) {
      return { pid: ended, reason: exitReason(status[0] ?? 0), usage: readUsage(usage) }
    }
    if (ended === 0) return undefined
    const errno = lastErrno()
    if (errno === ECHILD) return undefined
    if (errno !== EINTR) fail('wait4')
  }
}

/** kill(2); a process that is gone already is no error. */
export function kill(pid: number, signal: number): void {
  if (nativeKill(pid, signal) < 0 && lastErrno() !== ESRCH) fail('kill', { path: String(pid) })
}

/** _exit(2): no exit handlers, nothing flushed; the only way out of a forked child but exec. */
export function exitProcess(status: number): never {
  exitNow(status)
  throw new Error('_exit returned')
}

/** execve(2). Returns only by throwing. */
export function execute(
  path: string,
  argv: readonly string[],
  environment: readonly string[],
): never {
  nativeExecve(path, [...argv, null], [...environment, null])
  return fail('execve', { path })
}

/** prctl(2) for the options that take numbers. */
export function prctl(option: number, a = 0, b = 0, c = 0, d = 0): void {
  if (nativePrctl(option, a, b, c, d) < 0) fail('prctl')
}

/** Like `prctl()`, telling failure by its result: for what may be refused. */
export function tryPrctl(option: number, a = 0, b = 0, c = 0, d = 0): boolean {
  return nativePrctl(option, a, b, c, d) >= 0
}

/** The name that ps shows, cut to 15 bytes. */
export function setProcessName(name: string): void {
  prctlString(PR_SET_NAME, name, 0, 0, 0)
}

export function createSession(): void {
  if (nativeSetsid() < 0) fail('setsid')
}

/** pidfd_open(2): readable when the process has ended. */
export function openPidfd(pid: number): number {
  const fd = Number(pidfdOpen(SYS_pidfd_open, pid, 0))
  if (fd < 0) fail('pidfd_open', { path: String(pid) })
  return fd
}

/** pidfd_send_signal(2); a process that is gone already is no error. */
export function signalPidfd(pidfd: number, signal: number): void {
  if (Number(pidfdSendSignal(SYS_pidfd_send_signal, pidfd, signal, null, 0)) >= 0) return
  if (lastErrno() !== ESRCH) fail('pidfd_send_signal')
}

/** alarm(2): SIGALRM ends this process, or what it executes, after so many seconds. */
export function endAfter(seconds: number): void {
  nativeAlarm(seconds)
}

export function setUmask(mask: number): void {
  nativeUmask(mask)
}

/** personality(2): PER_LINUX32 (8) makes uname say the 32-bit sibling. */
export function setPersonality(persona: number): void {
  if (nativePersonality(persona) < 0) fail('personality')
}

/** reboot(2) with a RB_ command: within a pid namespace it ends its first process. */
export function reboot(command: number): void {
  nativeReboot(command | 0)
}

export const RB_AUTOBOOT = 0x01234567
export const RB_POWER_OFF = 0x4321fedc

/** Joins a fresh session keyring, so that the caller's keys are out of sight (keyctl(2)). Failure is no error. */
export function joinFreshKeyring(): void {
  keyctl(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0, 0, 0, 0)
}

/** sched_setaffinity(2) of the calling thread. */
export function setCpuAffinity(cpus: readonly number[]): void {
  const mask = Buffer.alloc(Math.max(8, Math.ceil((Math.max(...cpus) + 1) / 64) * 8))
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7))
  if (schedSetaffinity(0, mask.length, mask) < 0) fail('sched_setaffinity')
}

const SIGSET_BYTES = 128

/** sigset_t. */
export function signalSet(signals: readonly number[] | 'all'): Buffer {
  const set = Buffer.alloc(SIGSET_BYTES, signals === 'all' ? 0xff : 0)
  if (signals !== 'all') {
    for (const signal of signals)
      set[(signal - 1) >> 3] = (set[(signal - 1) >> 3] ?? 0) | (1 << ((signal - 1) & 7))
  }
  return set
}

/** Blocks exactly these signals in the calling thread. */
export function setSignalMask(signals: readonly number[] | 'all'): void {
  const old = Buffer.alloc(SIGSET_BYTES)
  if (sigprocmask(2 /* SIG_SETMASK */, signalSet(signals), old) < 0) fail('sigprocmask')
}

/** Blocks every signal in the calling thread. @returns the mask before, for `restoreSignals()` */
export function blockSignals(): Buffer {
  const old = Buffer.alloc(SIGSET_BYTES)
  if (sigprocmask(2 /* SIG_SETMASK */, signalSet('all'), old) < 0) fail('sigprocmask')
  return old
}

export function restoreSignals(mask: Buffer): void {
  const old = Buffer.alloc(SIGSET_BYTES)
  if (sigprocmask(2 /* SIG_SETMASK */, mask, old) < 0) fail('sigprocmask')
}

/** Lets signals pass by without effect, whichever thread they come to. Undone by `resetSignalHandlers()`. */
export function ignoreSignals(signals: readonly number[]): void {
  const action = Buffer.alloc(152)
  action.writeBigUInt64LE(1n /* SIG_IGN */)
  for (const signal of signals)
    if (nativeSigaction(signal, action, null) < 0) fail('sigaction', { path: String(signal) })
}

/** Every signal back to its default action, as a fresh program expects. */
export function resetSignalHandlers(): void {
  const action = Buffer.alloc(152)
  for (let signal = 1; signal <= 64; signal++) {
    if (signal === 9 || signal === 19 || signal === 32 || signal === 33) continue
    nativeSigaction(signal, action, null)
  }
}

/** sigtimedwait(2): the next of the blocked `signals`, or undefined after `timeoutMs`. */
export function waitForSignal(
  signals: readonly number[],
  timeoutMs: number | undefined,
): number | undefined {
  const timeout = Buffer.alloc(16)
  if (timeoutMs !== undefined) {
    timeout.writeBigInt64LE(BigInt(Math.floor(timeoutMs / 1000)), 0)
    timeout.writeBigInt64LE(BigInt(Math.floor((timeoutMs % 1000) * 1e6)), 8)
  }
  const signal: number = sigtimedwait(
    signalSet(signals),
    null,
    timeoutMs === undefined ? null : timeout,
  )
  return signal > 0 ? signal : undefined
}

const memcpy = lazyFunction('uint64_t memcpy(uint64_t dest, const uint8_t *src, unsigned long n)')

/** Overwrites memory of this very process, such as its command line as the kernel shows it (proc(5)). */
export function writeMemory(address: bigint, bytes: Uint8Array): void {
  memcpy(address, bytes, bytes.length)
}
