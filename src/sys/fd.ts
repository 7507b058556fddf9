/** Descriptors: pipes, socket pairs, passing them on, waiting on them. <fcntl.h>, <sys/socket.h>, <poll.h> */
import { lazyFunction } from './lazy-function.ts'
import { readdirSync, writeSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { errnoName } from './errno.ts'
import { fail, lastErrno } from './libc.ts'

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_NONBLOCK = 0o4000
export const O_DIRECTORY = process.arch.startsWith('arm') ? 0o40000 : 0o200000
export const O_NOFOLLOW = process.arch.startsWith('arm') ? 0o100000 : 0o400000
export const O_CLOEXEC = 0o2000000
export const O_PATH = 0o10000000

const EINTR = 4
const EAGAIN = 11
const ECONNRESET = 104

const pipe2 = lazyFunction('int pipe2(_Out_ int *fds, int flags)')
const socketpair = lazyFunction(
  'int socketpair(int domain, int type, int protocol, _Out_ int *fds)',
)
const nativeRead = lazyFunction('long read(int fd, _Out_ uint8_t *buf, unsigned long count)')
const nativeWrite = lazyFunction('long write(int fd, const uint8_t *buf, unsigned long count)')
const nativeClose = lazyFunction('int close(int fd)')
const dup2 = lazyFunction('int dup2(int oldfd, int newfd)')
const fcntl = lazyFunction('int fcntl(int fd, int cmd, int arg)')
const nativeOpen = lazyFunction(
  'int openat(int dirfd, const char *path, int flags, unsigned int mode)',
)
const closeRange = lazyFunction(
  'long syscall(long nr, unsigned int first, unsigned int last, unsigned int flags)',
)
const sendmsg = lazyFunction('long sendmsg(int fd, const uint8_t *msg, int flags)')
const recvmsg = lazyFunction('long recvmsg(int fd, _Inout_ uint8_t *msg, int flags)')
const nativePoll = lazyFunction('int poll(_Inout_ uint8_t *fds, unsigned long nfds, int timeout)')
const nativeSocket = lazyFunction('int socket(int domain, int type, int protocol)')
const nativeBind = lazyFunction('int bind(int fd, const uint8_t *address, unsigned int length)')
const setsockopt = lazyFunction(
  'int setsockopt(int fd, int level, int name, const int *value, unsigned int length)',
)

const SYS_close_range = 436
const CLOSE_RANGE_CLOEXEC = 4
const F_SETFD = 2
const F_GETFL = 3
const F_SETFL = 4
const F_SETPIPE_SZ = 1031
const AT_FDCWD = -100

/** open(2) with O_CLOEXEC. @throws NspawnError */
export function open(path: string, flags: number, mode = 0): number {
  const fd: number = nativeOpen(AT_FDCWD, path, flags | O_CLOEXEC, mode)
  if (fd < 0) fail('open', { path })
  return fd
}

export function close(fd: number): void {
  nativeClose(fd)
}

/** A pipe, both ends close-on-exec: `[read end, write end]`. */
export function pipe(): [number, number] {
  const fds = [0, 0]
  if (pipe2(fds, O_CLOEXEC) < 0) fail('pipe2')
  return fds as [number, number]
}

const memfdCreate = lazyFunction('int memfd_create(const char *name, unsigned int flags)')

/**
 * A file that is nowhere but here, close-on-exec and at its beginning (memfd_create(2)).
 *
 * @param name what /proc shows it as
 */
export function fileInMemory(name: string, content: string): number {
  const MFD_CLOEXEC = 1
  // The kernel takes 249 bytes.
  const fd = memfdCreate(Buffer.from(name).toString('latin1', 0, 249), MFD_CLOEXEC)
  if (fd < 0) fail('memfd_create')
  try {
    const bytes = Buffer.from(content)
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at)
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}

/** Lets a pipe hold `bytes`; a limit of the system may keep it smaller. */
export function growPipe(fd: number, bytes: number): void {
  fcntl(fd, F_SETPIPE_SZ, bytes)
}

const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_SEQPACKET = 5
const SOCK_CLOEXEC = 0o2000000
const SOCK_NONBLOCK = 0o4000
const SOL_SOCKET = 1
const SO_PASSCRED = 16
const SCM_RIGHTS = 1
const SCM_CREDENTIALS = 2
const MSG_NOSIGNAL = 0x4000

/** Two connected AF_UNIX sockets that keep message boundaries; end of file when the peer is gone. */
export function packetSocketPair(): [number, number] {
  const fds = [0, 0]
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) fail('socketpair')
  return fds as [number, number]
}

/** Two connected AF_UNIX sockets without message boundaries. */
export function streamSocketPair(): [number, number] {
  const fds = [0, 0]
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) fail('socketpair')
  return fds as [number, number]
}

/**
 * A datagram socket bound to `path` that reports its senders' credentials (unix(7), SO_PASSCRED).
 *
 * @param path at most 107 bytes; go through `/proc/self/fd/N/…` for long ones
 */
export function boundDatagramSocket(path: string): number {
  const fd: number = nativeSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
  if (fd < 0) fail('socket', { path })
  const address = unixAddress(path)
  if (nativeBind(fd, address, address.length) < 0) fail('bind', { path })
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, [1], 4) < 0) fail('setsockopt', { path })
  return fd
}

const nativeConnect = lazyFunction('int connect(int fd, const uint8_t *address, unsigned int size)')

/**
 * A connection to a listening stream socket.
 *
 * @param path at most 107 bytes
 * @throws NspawnError with the errno name as code
 * @see unix(7)
 */
export function connectStream(path: string): number {
  const fd: number = nativeSocket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
  if (fd < 0) fail('socket', { path })
  const address = unixAddress(path)
  if (nativeConnect(fd, address, address.length) >= 0) return fd
  const errno = lastErrno()
  close(fd)
  throw new NspawnError('cannot connect', {
    code: errnoName(errno),
    operation: 'connect',
    subject: path,
  })
}

/** unix(7): a path with its end. */
function unixAddress(path: string): Buffer {
  return Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(path), Buffer.from([0])])
}

const nativeSendto = lazyFunction(
  'long sendto(int fd, const uint8_t *data, unsigned long length, int flags, const uint8_t *address, unsigned int size)',
)

/**
 * Sends one datagram to a unix socket.
 *
 * @param address a path, or `@name` for an abstract one (unix(7)); at most 107 bytes
 * @returns whether it was taken
 */
export function sendDatagram(address: string, text: string): boolean {
  const fd: number = nativeSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) return false
  try {
    const name = Buffer.from(address)
    if (address.startsWith('@')) name[0] = 0
    const socketAddress = Buffer.concat([Buffer.from([AF_UNIX, 0]), name])
    const data = Buffer.from(text)
    const flags = MSG_NOSIGNAL
    return (
      Number(nativeSendto(fd, data, data.length, flags, socketAddress, socketAddress.length)) >= 0
    )
  } finally {
    close(fd)
  }
}

/** One message as it came in. */
export interface ReceivedMessage {
  readonly data: Buffer
  /** Descriptors that came along, close-on-exec. */
  readonly fds: readonly number[]
  /** The sender's pid as the kernel vouches for it, when the socket asks for credentials. */
  readonly senderPid: number | undefined
}

/** sendmsg(2): one message, with descriptors when given (SCM_RIGHTS, at most 16). */
export function sendMessage(fd: number, data: Uint8Array, fds: readonly number[] = []): void {
  const control = Buffer.alloc(fds.length === 0 ? 0 : 16 + align8(fds.length * 4))
  if (fds.length > 0) {
    control.writeBigUInt64LE(BigInt(16 + fds.length * 4), 0)
    control.writeInt32LE(SOL_SOCKET, 8)
    control.writeInt32LE(SCM_RIGHTS, 12)
    for (const [i, passed] of fds.entries()) control.writeInt32LE(passed, 16 + i * 4)
  }
  const header = messageHeader(Buffer.from(data.buffer, data.byteOffset, data.byteLength), control)
  for (;;) {
    const n = Number(sendmsg(fd, header.bytes, MSG_NOSIGNAL))
    if (n >= 0) return
    if (lastErrno() !== EINTR) fail('sendmsg')
  }
}

const receiveBuffer = Buffer.alloc(1 << 16)

/**
 * recvmsg(2): the next message; undefined at end of file; `'again'` when the socket is non-blocking
 * and has none. Longer messages than 64 KiB are cut.
 */
export function receiveMessage(fd: number): ReceivedMessage | undefined | 'again' {
  const control = Buffer.alloc(256)
  const header = messageHeader(receiveBuffer, control)
  let n: number
  for (;;) {
    n = Number(recvmsg(fd, header.bytes, 0x40000000 /* MSG_CMSG_CLOEXEC */))
    if (n >= 0) break
    const errno = lastErrno()
    if (errno === EAGAIN) return 'again'
    // The peer went without reading everything: reported once, before what it had sent can be read.
    if (errno !== EINTR && errno !== ECONNRESET) fail('recvmsg')
  }
  const fds: number[] = []
  let senderPid: number | undefined
  const controlLength = Number(header.bytes.readBigUInt64LE(40))
  for (let at = 0; at + 16 <= controlLength;) {
    const length = Number(control.readBigUInt64LE(at))
    const type = control.readInt32LE(at + 12)
    if (type === SCM_RIGHTS) {
      for (let i = at + 16; i + 4 <= at + length; i += 4) fds.push(control.readInt32LE(i))
    } else if (type === SCM_CREDENTIALS) senderPid = control.readInt32LE(at + 16)
    at += align8(length)
  }
  if (n === 0 && fds.length === 0 && senderPid === undefined) return undefined
  return { data: Buffer.from(receiveBuffer.subarray(0, n)), fds, senderPid }
}

function align8(n: number): number {
  return (n + 7) & ~7
}

/** struct msghdr with one iovec; `keep` must outlive the call, since the header holds raw addresses. */
function messageHeader(data: Buffer, control: Buffer): { bytes: Buffer; keep: readonly Buffer[] } {
  const iovec = Buffer.alloc(16)
  iovec.writeBigUInt64LE(addressOf(data), 0)
  iovec.writeBigUInt64LE(BigInt(data.length), 8)
  const bytes = Buffer.alloc(56)
  bytes.writeBigUInt64LE(addressOf(iovec), 16)
  bytes.writeBigUInt64LE(1n, 24)
  if (control.length > 0) bytes.writeBigUInt64LE(addressOf(control), 32)
  bytes.writeBigUInt64LE(BigInt(control.length), 40)
  return { bytes, keep: [iovec, data, control] }
}

const returnPointer = lazyFunction(
  'uint64_t memcpy(_Inout_ uint8_t *dest, const uint8_t *src, unsigned long n)',
)

/** The address of a buffer's first byte, valid while the buffer lives. */
export function addressOf(buffer: Uint8Array): bigint {
  return buffer.length === 0 ? 0n : BigInt(returnPointer(buffer, buffer, 0))
}

/** read(2); 0 at end of file, undefined when a non-blocking descriptor has nothing. EIO reads as end of file. */
export function read(fd: number, buffer: Uint8Array): number | undefined {
  for (;;) {
    const n = Number(nativeRead(fd, buffer, buffer.length))
    if (n >= 0) return n
    const errno = lastErrno()
    if (errno === EAGAIN) return undefined
    if (errno === 5) return 0
    if (errno !== EINTR) fail('read')
  }
}

/** write(2); undefined when a non-blocking descriptor takes nothing now. */
export function write(fd: number, buffer: Uint8Array): number | undefined {
  for (;;) {
    const n = Number(nativeWrite(fd, buffer, buffer.length))
    if (n >= 0) return n
    const errno = lastErrno()
    if (errno === EAGAIN) return undefined
    if (errno !== EINTR) fail('write')
  }
}

/** Makes `target` a copy of `fd` that survives exec. */
export function duplicateTo(fd: number, target: number): void {
  if (fd === target) {
    if (fcntl(fd, F_SETFD, 0) < 0) fail('fcntl')
  } else if (dup2(fd, target) < 0) fail('dup2')
}

export function setNonBlocking(fd: number): void {
  const flags: number = fcntl(fd, F_GETFL, 0)
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) fail('fcntl')
}

/**
 * Lets exec close everything but 0, 1, 2 and `keep` (close_range(2), CLOSE_RANGE_CLOEXEC). Nothing is closed before:
 * libuv aborts when it cannot write to its own descriptors, which a collection of garbage may make it do.
 */
export function closeOnExecAllBut(keep: readonly number[]): void {
  let first = 3
  const mark = (last: number) => {
    if (Number(closeRange(SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC)) < 0)
      fail('close_range')
  }
  for (const fd of keep.filter((kept) => kept > 2).toSorted((a, b) => a - b)) {
    if (fd > first) mark(fd - 1)
    first = fd + 1
  }
  mark(0xffffffff)
}

/**
 * Makes every descriptor of this process one of /dev/null, for a process that goes on without any: what they held is
 * let go, and libuv can still write to its own.
 */
export function letGoOfDescriptors(): void {
  const none = open('/dev/null', O_RDWR)
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name)
    if (fd !== none) dup2(none, fd)
  }
  close(none)
}

export const POLLIN = 1
export const POLLPRI = 2
export const POLLOUT = 4

export interface PollEntry {
  readonly fd: number
  readonly events: number
}

/**
 * poll(2): the events that happened, in the order of `entries`; all zero after `timeoutMs` (-1 waits
 * for ever) and when a signal arrived.
 */
export function poll(entries: readonly PollEntry[], timeoutMs: number): number[] {
  const buffer = Buffer.alloc(entries.length * 8)
  for (const [i, entry] of entries.entries()) {
    buffer.writeInt32LE(entry.fd, i * 8)
    buffer.writeInt16LE(entry.events, i * 8 + 4)
  }
  if (nativePoll(buffer, entries.length, timeoutMs) < 0) {
    if (lastErrno() !== EINTR) fail('poll')
    return entries.map(() => 0)
  }
  return entries.map((_, i) => buffer.readInt16LE(i * 8 + 6))
}

const fchown = lazyFunction('int fchown(int fd, unsigned int owner, unsigned int group)')

/** fchown(2) where it may be refused, as for a descriptor that is not ours to give away. */
export function tryChangeOwner(fd: number, uid: number, gid: number): boolean {
  return fchown(fd, uid, gid) >= 0
}
