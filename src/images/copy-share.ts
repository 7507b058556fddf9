/**
 * Directories of one copy that wait for any of its threads, in memory that they share: a copy goes on for long without
 * looking at messages. Descriptors belong to the process, so that numbers are enough.
 */

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
  /** Blocks until there may be something to take, or to stop for. */
  wait(): void
}

/** More would only hold descriptors. */
const PLACES = 8
const free = 0
const changing = 1
const full = 2

/** Fields of the memory, in units of 32 bits; the counters are of 64. */
const field = { unfinished: 4, stopped: 5, offers: 6, places: 8 } as const
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
    stop: () => {
      Atomics.store(cells, field.stopped, 1)
      wake()
    },
    isStopped: () => Atomics.load(cells, field.stopped) === 1,
    wait: () => void Atomics.wait(cells, field.offers, seen),
  }
}
