/** A thread that fills directories of a copy, one after the other. A bundle of its own (`dist/copy-worker.cjs`). */
import { parentPort, workerData } from 'node:worker_threads'
import { serializeError } from '../errors.ts'
import { openCopyShare } from './copy-share.ts'
import type { CopyThreadData, FromCopyThread } from './copy-threads.ts'
import { fillDirectories } from './copy-together.ts'

const { memory, bounds } = workerData as CopyThreadData
const share = openCopyShare(memory)
const tell = (message: FromCopyThread): void => parentPort?.postMessage(message, [])

try {
  while (!share.isStopped()) {
    const filling = fillDirectories(share, bounds, (directory) =>
      tell({ kind: 'postponed', directory }),
    )
    for (const _ of filling) if (share.isStopped()) break
    if (!share.isStopped()) share.wait()
  }
} catch (error) {
  tell({ kind: 'failed', error: serializeError(error)! })
  share.stop()
}
