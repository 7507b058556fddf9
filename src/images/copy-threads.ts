/** Threads that fill directories of a large copy at the same time; they have ended when the copy has. */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { reviveError, type SerializedError } from '../errors.ts'
import { packageDirectory } from '../paths.ts'
import {
  openCopyShare,
  type CopyBounds,
  type PostponedDirectory,
  type StartCopyThreads,
} from './copy-share.ts'

/** More do not help: the disk or the kernel's locks are the limit then. */
const THREADS_MAX = 4

export type FromCopyThread =
  | { readonly kind: 'postponed'; readonly directory: PostponedDirectory }
  | { readonly kind: 'failed'; readonly error: SerializedError }

export interface CopyThreadData {
  readonly memory: SharedArrayBuffer
  readonly bounds: CopyBounds
}

/**
 * Starts a thread for each processor but the one that the copy itself has.
 *
 * @returns undefined where there is only one
 */
export const startCopyThreads: StartCopyThreads = ({ top, targetTop, leftOut, inPlace }) => {
  const file = join(packageDirectory(dirname(import.meta.filename)), 'dist/copy-worker.cjs')
  const count = Math.min(availableParallelism(), THREADS_MAX) - 1
  if (count < 1 || !existsSync(file)) return undefined
  const share = openCopyShare()
  const workerData: CopyThreadData = {
    memory: share.memory,
    bounds: { top, targetTop, leftOut, inPlace },
  }
  const postponed: PostponedDirectory[] = []
  let failure: Error | undefined
  // Where no thread can be had, the copy goes on without.
  const fail = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'ERR_WORKER_INIT_FAILED') return
    failure ??= error
    share.stop()
  }
  const start = async (): Promise<void> => {
    let worker: Worker
    try {
      worker = new Worker(file, { workerData, execArgv: [], trackUnmanagedFds: false })
    } catch (error) {
      return fail(error as NodeJS.ErrnoException)
    }
    worker.on('message', (message: FromCopyThread) => {
      if (message.kind === 'postponed') postponed.push(message.directory)
      else failure ??= reviveError(message.error)
    })
    worker.on('error', fail)
    await new Promise<void>((resolve) => worker.on('exit', () => resolve()))
  }
  const ended = Promise.all(Array.from({ length: count }, start))
  return {
    share,
    nextPostponed: () => postponed.shift(),
    end: async () => {
      share.stop()
      await ended
      return failure
    },
  }
}
