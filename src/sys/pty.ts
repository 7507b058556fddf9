/**
 * Pseudoterminals of any devpts instance, a container's included. pty(7), ioctl_tty(2). Synchronous
 * foreign calls only, so that a forked child can use it.
 */
import { close, O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_RDWR, open } from './fd.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const TIOCSCTTY = 0x540e
const TIOCGPTN = 0x80045430
const TIOCSPTLCK = 0x40045431
const TIOCGPTPEER = 0x5441
const EINVAL = 22
const ENOTTY = 25

const ioctlBuffer = lazyFunction(
  'int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)',
)
const ioctlNumber = lazyFunction('int ioctl(int fd, unsigned long request, unsigned long argument)')

export interface Pty {
  /** Close-on-exec, non-blocking. */
  readonly master: number
  /** The name of the other end in its devpts. */
  readonly number: number
}

/**
 * A new pseudoterminal, unlocked.
 *
 * @param devpts where the instance is mounted
 * @throws NspawnError, `ENOSPC` when the instance has as many as its `max=` allows
 */
export function openPty(devpts: string): Pty {
  const path = `${devpts}/ptmx`
  const master = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK)
  try {
    const argument = Buffer.alloc(4)
    if (ioctlBuffer(master, TIOCSPTLCK, argument) < 0) {
      fail('ioctl TIOCSPTLCK', { step: 'cannot unlock pseudoterminal', path })
    }
    if (ioctlBuffer(master, TIOCGPTN, argument) < 0) {
      fail('ioctl TIOCGPTN', { step: 'cannot number pseudoterminal', path })
    }
    return { master, number: argument.readUInt32LE(0) }
  } catch (error) {
    close(master)
    throw error
  }
}

/**
 * The other end of a pseudoterminal, close-on-exec and nobody's controlling terminal yet. The kernel
 * opens it by the master alone, so nothing that a container has put into its /dev is trusted; only
 * kernels before 4.13 go by name.
 *
 * @param devpts where the instance is mounted, for those kernels
 */
export function openPtyPeer(pty: Pty, devpts: string): number {
  const peer: number = ioctlNumber(pty.master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)
  if (peer >= 0) return peer
  const path = `${devpts}/${pty.number}`
  if (lastErrno() !== ENOTTY && lastErrno() !== EINVAL) {
    fail('ioctl TIOCGPTPEER', { step: 'cannot open pseudoterminal', path })
  }
  return open(path, O_RDWR | O_NOCTTY)
}

/** Makes a terminal the controlling one of the calling session's leader, which has none yet (TIOCSCTTY). */
export function makeControllingTerminal(fd: number): void {
  if (ioctlNumber(fd, TIOCSCTTY, 0) < 0) {
    fail('ioctl TIOCSCTTY', { step: 'cannot make the pseudoterminal the controlling terminal' })
  }
}
