/** Who opens what on a file system, as the kernel tells it: fanotify(7). */
import { readlinkSync } from 'node:fs'
import type { NspawnError } from '../errors.ts'
import { errnoName } from './errno.ts'
import { close, read, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from './fd.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const fanotifyInit = lazyFunction('int fanotify_init(unsigned int flags, unsigned int event_flags)')
const fanotifyMark = lazyFunction(
  'int fanotify_mark(int fd, unsigned int flags, uint64_t mask, int dirfd, const char *path)',
)

/* <linux/fanotify.h> */
const FAN_CLOEXEC = 0x1
const FAN_NONBLOCK = 0x2
const FAN_UNLIMITED_MARKS = 0x20
const FAN_MARK_ADD = 0x1
const FAN_MARK_IGNORED_MASK = 0x20
const FAN_MARK_IGNORED_SURV_MODIFY = 0x40
const FAN_MARK_FILESYSTEM = 0x100
const FAN_MARK_EVICTABLE = 0x200
const FAN_OPEN = 0x20
const FAN_Q_OVERFLOW = 0x4000
const AT_FDCWD = -100

/** struct fanotify_event_metadata: length at 0, mask at 8, descriptor at 16. */
const EVENT_BYTES = 24
const BUFFER_BYTES = 256 * EVENT_BYTES

/** Hears of each file of one file system at its first opening. */
export class OpenWatch {
  /** Readable when something was opened. */
  readonly fd: number
  private readonly buffer = Buffer.alloc(BUFFER_BYTES)
  private evictable = FAN_MARK_EVICTABLE

  /** @throws NspawnError `EPERM` without CAP_SYS_ADMIN, `ENOSYS` */
  constructor() {
    this.fd = fanotifyInit(
      FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_MARKS,
      // A file is opened for each event, and a pipe's other end must not be waited for.
      O_RDONLY | O_NONBLOCK | O_CLOEXEC,
    )
    if (this.fd < 0) fail('fanotify_init', { step: 'cannot watch which files are opened' })
  }

  /** Watches the file system that `path` is on, from wherever it is seen. */
  watch(path: string): void {
    const flags = FAN_MARK_ADD | FAN_MARK_FILESYSTEM
    if (fanotifyMark(this.fd, flags, BigInt(FAN_OPEN), AT_FDCWD, path) < 0)
      fail('fanotify_mark', { path, step: 'cannot watch which files are opened' })
  }

  /**
   * What was opened since the last time; does not wait.
   *
   * @param onPath gets the path as seen from the root of that mount; deleted files have none
   * @returns whether nothing was lost: the kernel's queue is bounded
   */
  drain(onPath: (path: string) => void): boolean {
    let complete = true
    for (;;) {
      let length: number | undefined
      try {
        length = read(this.fd, this.buffer)
      } catch (error) {
        // The file of this event could not be opened for us, and the event is out of the queue.
        if (['EBADF', 'EINVAL', 'EFAULT'].includes((error as NspawnError).code)) throw error
        continue
      }
      if (length === undefined || length === 0) return complete
      for (let at = 0; at < length; at += this.buffer.readUInt32LE(at)) {
        const descriptor = this.buffer.readInt32LE(at + 16)
        if (this.buffer.readUInt32LE(at + 8) & FAN_Q_OVERFLOW) complete = false
        if (descriptor < 0) continue
        const path = readlinkSync(`/proc/self/fd/${descriptor}`)
        if (!path.endsWith(' (deleted)')) onPath(path)
        this.ignore(descriptor)
        close(descriptor)
      }
    }
  }

  close(): void {
    close(this.fd)
  }

  /** Once is enough: what is opened all the time would fill the queue. */
  private ignore(descriptor: number): void {
    const flags = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY
    const mask = BigInt(FAN_OPEN)
    if (fanotifyMark(this.fd, flags | this.evictable, mask, descriptor, null) === 0) return
    // Linux before 5.19 keeps what is marked in memory; what cannot be marked is heard of again.
    if (errnoName(lastErrno()) === 'EINVAL') this.evictable = 0
  }
}
