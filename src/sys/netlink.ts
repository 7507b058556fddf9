/** Interfaces and their addresses, as far as a name and the news of a change go. netlink(7), rtnetlink(7) */
import { close, read, setNonBlocking } from './fd.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const NETLINK_ROUTE = 0
const RTMGRP_IPV4_IFADDR = 0x10
const RTMGRP_IPV6_IFADDR = 0x100

const socket = lazyFunction('int socket(int domain, int type, int protocol)')
const bind = lazyFunction('int bind(int fd, const uint8_t *address, unsigned int length)')
const ifNameToIndex = lazyFunction('unsigned int if_nametoindex(const char *name)')

/** Of this process's network namespace, by name or alternative name; undefined when there is none. */
export function interfaceIndex(name: string): number | undefined {
  const index = ifNameToIndex(name) as number
  return index === 0 ? undefined : index
}

/** A socket that can be read whenever an address of this process's network namespace comes or goes. */
export function openAddressMonitor(): number {
  const step = 'cannot watch addresses'
  const fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) as number
  if (fd < 0) fail('socket', { step })
  const address = Buffer.alloc(12)
  address.writeUInt16LE(AF_NETLINK, 0)
  address.writeUInt32LE(RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, 8)
  if (bind(fd, address, address.length) < 0) {
    close(fd)
    fail('bind', { step })
  }
  setNonBlocking(fd)
  return fd
}

/** Takes the news away; what has changed is asked for anew. */
export function drainMonitor(fd: number): void {
  const buffer = Buffer.alloc(1 << 15)
  try {
    while ((read(fd, buffer) ?? 0) > 0);
  } catch {
    // Some were lost (ENOBUFS): what counts is that something has changed.
  }
}
