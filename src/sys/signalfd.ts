/** Signals as something to read, for a process of one thread that waits in poll(2). signalfd(2) */
import { lazyFunction } from './lazy-function.ts'
import { read } from './fd.ts'
import { fail } from './libc.ts'
import { setSignalMask, signalSet } from './process.ts'

const nativeSignalfd = lazyFunction('int signalfd(int fd, const uint8_t *mask, int flags)')

const SFD_CLOEXEC = 0o2000000
const SFD_NONBLOCK = 0o4000
/** struct signalfd_siginfo; the signal's number comes first. */
const RECORD_BYTES = 128

/** Blocks exactly `signals` in the calling thread. @returns a descriptor that is readable when one has come */
export function openSignalDescriptor(signals: readonly number[]): number {
  setSignalMask(signals)
  const fd: number = nativeSignalfd(-1, signalSet(signals), SFD_CLOEXEC | SFD_NONBLOCK)
  if (fd < 0) fail('signalfd')
  return fd
}

/** The signals that have come, oldest first. */
export function readSignals(fd: number): number[] {
  const signals: number[] = []
  const record = Buffer.alloc(RECORD_BYTES)
  while (read(fd, record) === RECORD_BYTES) signals.push(record.readUInt32LE(0))
  return signals
}
