/**
 * Directories of one copy that wait for any of its threads, in memory that they share: a copy goes on for long without
 * looking at messages. Descriptors belong to the process, so that numbers are enough.
 */
import type { InodeFacts } from '../sys/statx.ts'

/** An open directory, and the new one that is to be filled with what is in it. Whoever has it closes both. */
export interface DirectoryPair {
  readonly from: number
  readonly to: number
}

export interface CopyShare {
  readonly memory: SharedArrayBuffer
  /** Leaves a pair to whoever has time. @returns false when enough are waiting, or nobody takes any more */
  offer(pair: DirectoryPair): boolean
  /** A pair that waits. `finish()` is owed when it has been filled. */
  take(): DirectoryPair | undefined
  finish(inodes: number, bytes: number): void
  /** Whether pairs are waiting or being filled. */
  isBusy(): boolean
  /** What has been finished since this was asked last. */
  counted(): { inodes: number; bytes: number }
  /** Nothing more shall be done. */
  stop(): void
  isStopped(): boolean
  /** Counts a directory that is left to the copy, with so many names; blocks while it has too many to do. */
  leave(names: number): void
  /** The copy has done one. */
  done(names: number): void
  /** Blocks until there may be something to take, or to stop for. */
  wait(): void
}

/** Not for a process that may fork meanwhile. @returns undefined where there are no threads to be had */
export type StartCopyThreads = (bounds: CopyBounds) => CopyThreads | undefined

export interface CopyThreads {
  readonly share: CopyShare
  /** What they have left to the copy, each one once. */
  nextPostponed(): PostponedDirectory | undefined
  /** Waits until they have ended, with what they were at done or not. @returns what went wrong there */
  end(): Promise<Error | undefined>
}

/** What all threads of a copy must know of it. */
export interface CopyBounds {
  readonly top: InodeFacts
  readonly targetTop: InodeFacts | undefined
  readonly leftOut: InodeFacts | undefined
  /** Whether files that are written in place have to be told apart, see `setWrittenInPlace()`. */
  readonly inPlace: boolean
}

/** A directory that is filled but for entries that have more names, perhaps in directories of other threads. */
export interface PostponedDirectory extends DirectoryPair {
  /** NUL-terminated. */
  readonly names: readonly Uint8Array[]
  /** Of the source. */
  readonly facts: InodeFacts
}

/** More would only hold descriptors. */
const PLACES = 8
/** Names that may be left to the copy before its threads wait, so that it need not remember a whole tree. */
const LEFT_MAX = 1 << 15
/** A directory is worth so many names: it holds two descriptors, and a process may often have 1024. */
const DIRECTORY_WEIGHT = 128
const free = 0
const changing = 1
const full = 2

/** Fields of the memory, in units of 32 bits; the counters are of 64. */
const field = { unfinished: 4, stopped: 5, offers: 6, left: 7, places: 8 } as const
const counter = { inodes: 0, bytes: 1 } as const
const PLACE_SIZE = 3

/** @param memory of the same share in another thread; default a new one */
export function openCopyShare(
  memory = new SharedArrayBuffer(
    (field.places + PLACES * PLACE_SIZE) * Int32Array.BYTES_PER_ELEMENT,
  ),
): CopyShare {
  const cells = new Int32Array(memory)
  const counters = new BigInt64Array(memory, 0, 2)
  const claim = (was: number): number | undefined => {
    for (let at = field.places; at < cells.length; at += PLACE_SIZE)
      if (Atomics.compareExchange(cells, at, was, changing) === was) return at
    return undefined
  }
  const wake = (): void => {
    Atomics.add(cells, field.offers, 1)
    Atomics.notify(cells, field.offers)
  }
  let seen = 0
  return {
    memory,
    offer: ({ from, to }) => {
      if (Atomics.load(cells, field.stopped) === 1) return false
      const place = claim(free)
      if (place === undefined) return false
      cells[place + 1] = from
      cells[place + 2] = to
      Atomics.add(cells, field.unfinished, 1)
      Atomics.store(cells, place, full)
      wake()
      return true
    },
    take: () => {
      seen = Atomics.load(cells, field.offers)
      const place = claim(full)
      if (place === undefined) return undefined
      const pair = { from: cells[place + 1]!, to: cells[place + 2]! }
      Atomics.store(cells, place, free)
      return pair
    },
    finish: (inodes, bytes) => {
      Atomics.add(counters, counter.inodes, BigInt(inodes))
      Atomics.add(counters, counter.bytes, BigInt(bytes))
      Atomics.sub(cells, field.unfinished, 1)
    },
    isBusy: () => Atomics.load(cells, field.unfinished) > 0,
    counted: () => ({
      inodes: Number(Atomics.exchange(counters, counter.inodes, 0n)),
      bytes: Number(Atomics.exchange(counters, counter.bytes, 0n)),
    }),
    leave: (names) => {
      for (;;) {
        const left = Atomics.load(cells, field.left)
        if (left < LEFT_MAX || Atomics.load(cells, field.stopped) === 1) break
        Atomics.wait(cells, field.left, left)
      }
      Atomics.add(cells, field.left, names + DIRECTORY_WEIGHT)
    },
    done: (names) => {
      Atomics.sub(cells, field.left, names + DIRECTORY_WEIGHT)
      Atomics.notify(cells, field.left)
    },
    stop: () => {
      Atomics.store(cells, field.stopped, 1)
      wake()
      // Another number than those wait for who have not seen the mark yet.
      Atomics.sub(cells, field.left, 1)
      Atomics.notify(cells, field.left)
    },
    isStopped: () => Atomics.load(cells, field.stopped) === 1,
    wait: () => void Atomics.wait(cells, field.offers, seen),
  }
}
