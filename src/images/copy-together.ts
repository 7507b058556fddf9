/** One copy by several threads: directories are handed on to whoever has time, and hard links are made by one alone. */
import { closeSync } from 'node:fs'
import { statAt } from '../sys/statx.ts'
import {
  copyDirectory,
  copyOne,
  finishAttributes,
  finishDirectory,
  freshCopy,
  leaveDirectory,
  type Copy,
} from './copy-entries.ts'
import type { CopyBounds, CopyShare, DirectoryPair, PostponedDirectory } from './copy-share.ts'
import { inTurns, type CopyOptions, type Pause } from './copy-turns.ts'

/**
 * Copies what is in the open directory `from` to `to`. Ends the threads too, should there be any, whatever happens.
 */
export async function fillTogether(
  copy: Copy,
  from: number,
  to: number,
  options: CopyOptions,
  source: string,
): Promise<void> {
  const gather = function* (): Generator<undefined> {
    for (const pause of takeIn(copy)) {
      throwIfStopped(copy)
      yield pause
    }
    throwIfStopped(copy)
  }
  try {
    await inTurns(fillAll(copy, from, to), copy.copied, options, source, gather).catch(
      async (error: unknown) => {
        throw (await copy.threads?.end()) ?? error
      },
    )
    const failure = await copy.threads?.end()
    if (failure !== undefined) throw failure
    await inTurns(takeIn(copy), copy.copied, options, source)
  } finally {
    closeLeft(copy)
  }
}

function throwIfStopped({ threads }: Copy): void {
  if (threads?.share.isStopped() === true) throw new Error('a thread of the copy has ended')
}

function* fillAll(copy: Copy, from: number, to: number): Generator<Pause> {
  yield* copyDirectory(copy, from, to)
  if (copy.threads === undefined) return
  const { share } = copy.threads
  for (;;) {
    const pair = share.take()
    if (pair !== undefined) {
      yield* fillPair(copy, pair)
      share.finish(0, 0)
    } else if (share.isBusy()) yield 'idle'
    else return
  }
}

/** Fills and closes a pair that was left to any thread. */
function* fillPair(copy: Copy, { from, to }: DirectoryPair): Generator<undefined> {
  let isHandedOn = false
  try {
    const facts = statAt(from)
    yield* copyDirectory(copy, from, to)
    isHandedOn = finishDirectory(copy, from, to, facts)
  } finally {
    if (!isHandedOn) closePair(copy, { from, to })
  }
}

/**
 * Fills what waits in the share of a copy, as one of its threads. Entries that have more names are left to the copy.
 *
 * @param postpone takes the descriptors over
 */
export function* fillDirectories(
  share: CopyShare,
  bounds: CopyBounds,
  postpone: (directory: PostponedDirectory) => void,
): Generator<undefined> {
  for (let pair = share.take(); pair !== undefined; pair = share.take()) {
    const copied = { inodes: 0, bytes: 0 }
    const left = {
      share,
      postpone: (directory: PostponedDirectory) => {
        share.leave(directory.names.length)
        postpone(directory)
      },
      names: new Map(),
    }
    yield* fillPair({ ...freshCopy(copied, bounds.top, undefined), ...bounds, left }, pair)
    share.finish(copied.inodes, copied.bytes)
  }
}

/** Takes in what threads have done, and does what they have left. */
function* takeIn(copy: Copy): Generator<undefined> {
  if (copy.threads === undefined) return
  const { inodes, bytes } = copy.threads.share.counted()
  copy.copied.inodes += inodes
  copy.copied.bytes += bytes
  for (let next = copy.threads.nextPostponed(); next; next = copy.threads.nextPostponed()) {
    const { from, to, names, facts } = next
    try {
      for (const name of names) yield* copyOne(copy, { from, name, to, newName: name })
      finishAttributes(copy, from, to, facts)
    } finally {
      closePair(copy, next)
      copy.threads.share.done(names.length)
    }
  }
}

/** Closes what a failed copy has left. */
function closeLeft(copy: Copy): void {
  const { threads } = copy
  if (threads === undefined) return
  for (let pair = threads.share.take(); pair; pair = threads.share.take()) closePair(copy, pair)
  for (let next = threads.nextPostponed(); next; next = threads.nextPostponed())
    closePair(copy, next)
}

function closePair(copy: Copy, { from, to }: DirectoryPair): void {
  closeSync(from)
  leaveDirectory(copy, to)
}
