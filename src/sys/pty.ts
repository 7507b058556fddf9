/** Pseudo terminals of a given devpts instance. pty(7), ioctl_tty(2) */
import { close, open, O_NOCTTY, O_NONBLOCK, O_RDWR } from './fd.ts'
import { fail, libc } from './libc.ts'

const ioctlInt = libc.func('int ioctl(int fd, unsigned long request, _Inout_ int *value)')
const ioctlNumber = libc.func('int ioctl(int fd, unsigned long request, long value)')

const TIOCSCTTY = 0x540e
const TIOCGPTN = 0x80045430
const TIOCSPTLCK = 0x40045431

/**
 * Opens a new pair.
 *
 * @param devpts mount point of the instance
 * @returns the non-blocking, close-on-exec master, and the number that names the slave in `devpts`
 */
export function openPty(devpts: string): { master: number; number: number } {
  const step = 'cannot open a pseudo terminal'
  const master = open(`${devpts}/ptmx`, O_RDWR | O_NOCTTY | O_NONBLOCK)
  const value = [0]
  if (ioctlInt(master, TIOCSPTLCK, value) < 0 || ioctlInt(master, TIOCGPTN, value) < 0) {
    close(master)
    fail('ioctl', { step, path: devpts })
  }
  return { master, number: value[0] ?? 0 }
}

/** Makes the terminal `fd` the controlling one of the session that this process leads. */
export function makeControllingTerminal(fd: number): void {
  if (ioctlNumber(fd, TIOCSCTTY, 0) < 0)
    fail('ioctl', { step: 'cannot take the controlling terminal' })
}
