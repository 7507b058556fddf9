/** Bringing up `lo` in a fresh network namespace. netdevice(7) */
import { lazyFunction } from './lazy-function.ts'
import { close } from './fd.ts'
import { fail } from './libc.ts'

const socket = lazyFunction('int socket(int domain, int type, int protocol)')
const ioctl = lazyFunction('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *ifreq)')
const SIOCGIFFLAGS = 0x8913
const SIOCSIFFLAGS = 0x8914
const IFF_UP = 1

export function bringUpLoopback(): void {
  const step = 'cannot bring up the loopback interface'
  const fd: number = socket(2 /* AF_INET */, 2 /* SOCK_DGRAM */ | 0o2000000, 0)
  if (fd < 0) fail('socket', { step })
  try {
    const request = Buffer.alloc(40)
    request.write('lo')
    if (ioctl(fd, SIOCGIFFLAGS, request) < 0) fail('ioctl', { step })
    request.writeInt16LE(request.readInt16LE(16) | IFF_UP, 16)
    if (ioctl(fd, SIOCSIFFLAGS, request) < 0) fail('ioctl', { step })
  } finally {
    close(fd)
  }
}
