/**
 * New directories of a copy that hold the first name of an inode with more names. Some stay open, since the next name
 * is mostly near; the others are found again by their way from the top, so that a tree may have any number of them.
 */
import { closeSync, constants, readlinkSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { O_PATH } from '../sys/fd.ts'
import { tryOpenBelow } from '../sys/openat2.ts'
import { sameMount, statAt, type InodeFacts } from '../sys/statx.ts'

/** So many stay open: a process may often have 1024 descriptors, and the way down takes two for each directory. */
const OPEN_MAX = 128

const asDirectory = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW

interface Closed {
  /** From the top, NUL-terminated. */
  readonly way: Buffer
  readonly inode: bigint
}

/** A directory that was kept: whoever wants to link from it asks for its descriptor. */
export interface KeptDirectory {
  /** A descriptor, or how to get one. */
  at: number | Closed
}

export class KeptDirectories {
  private readonly top: number
  private readonly topFacts: InodeFacts
  /** By descriptor. */
  private readonly open = new Map<number, KeptDirectory>()
  /** Those that nobody fills any more; what was asked for last comes last. */
  private readonly idle = new Set<number>()

  /** @param top stays open for as long as this is used, and is closed by its owner */
  constructor(top: number) {
    this.top = top
    this.topFacts = statAt(top)
  }

  /** Keeps an open directory, which its owner hands over with `leave()`. */
  keep(fd: number): KeptDirectory {
    const there = this.open.get(fd)
    if (there !== undefined) return there
    const directory = { at: fd }
    this.open.set(fd, directory)
    return directory
  }

  /** Closes a directory of its last user, unless it is kept. */
  leave(fd: number): void {
    if (fd === this.top) return
    if (!this.open.has(fd)) return closeSync(fd)
    this.rest(fd)
  }

  /** @returns its descriptor, which is good until the next call of anything here */
  enter(directory: KeptDirectory): number {
    const { at } = directory
    if (typeof at === 'number') {
      if (this.idle.delete(at)) this.idle.add(at)
      return at
    }
    const fd = tryOpenBelow(this.top, at.way, 'beneath', asDirectory)
    if (typeof fd === 'number' && statAt(fd).inode === at.inode) {
      directory.at = fd
      this.open.set(fd, directory)
      this.rest(fd)
      return fd
    }
    if (typeof fd === 'number') closeSync(fd)
    throw new NspawnError('a directory was moved while a tree was being copied', {
      code: typeof fd === 'string' ? fd : 'EAGAIN',
      operation: 'copy',
      subject: at.way.subarray(0, -1).toString(),
    })
  }

  /** Closes all of them. */
  [Symbol.dispose](): void {
    for (const fd of this.open.keys()) if (fd !== this.top) closeSync(fd)
    this.open.clear()
    this.idle.clear()
  }

  private rest(fd: number): void {
    this.idle.add(fd)
    if (this.idle.size <= OPEN_MAX) return
    const [oldest] = this.idle
    if (oldest === undefined) return
    this.idle.delete(oldest)
    const facts = statAt(oldest)
    const way = sameMount(this.topFacts, facts) ? this.wayTo(oldest) : undefined
    // Deeper than any path that the kernel takes, or behind a mount: it stays open.
    if (way === undefined) return
    this.open.get(oldest)!.at = { way, inode: facts.inode }
    this.open.delete(oldest)
    closeSync(oldest)
  }

  private wayTo(fd: number): Buffer | undefined {
    const [top, path] = [this.top, fd].map(pathOf)
    if (top === undefined || path === undefined) return undefined
    const above = top === '/' ? '/' : `${top}/`
    if (!path.startsWith(above)) return undefined
    return Buffer.from(`${path.slice(above.length)}\0`, 'latin1')
  }
}

/** One character for each byte. */
function pathOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`, 'latin1')
  } catch {
    return undefined
  }
}
