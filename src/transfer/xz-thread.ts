/** Decompresses xz in a thread of ours (xz-worker.ts), for hosts without xz. */
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { packageDirectory } from '../paths.ts'
import type { FromXzWorker, ToXzWorker } from './xz-worker.ts'

/**
 * The plain bytes of xz data, several streams included.
 *
 * @throws (while read) NspawnError `BAD_COMPRESSION`, `CANCELED`; what `chunks` throws
 */
export async function* unpackXz(
  chunks: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  throwIfCanceled(signal, 'decompressing')
  const file = join(packageDirectory(dirname(import.meta.filename)), 'dist/xz-worker.cjs')
  const worker = new Worker(file, { execArgv: [] })
  const source = chunks[Symbol.asyncIterator]()
  const inbox: FromXzWorker[] = []
  let broken: { readonly error: unknown } | undefined
  let wake = () => {}
  const tell = (message: ToXzWorker) => worker.postMessage(message, [])
  const put = (message: FromXzWorker) => {
    inbox.push(message)
    wake()
  }
  worker.on('message', put)
  worker.on('error', (error) => put({ kind: 'failed', why: error.message }))
  worker.on('exit', () => put({ kind: 'failed', why: 'the thread ended' }))
  const cancel = () => put({ kind: 'failed', why: 'canceled' })
  signal?.addEventListener('abort', cancel)
  const feed = async () => {
    const { done, value } = await source.next()
    tell({ kind: 'input', bytes: done === true ? undefined : value })
  }
  try {
    for (;;) {
      throwIfCanceled(signal, 'decompressing')
      if (broken !== undefined) throw broken.error
      const message = inbox.shift()
      if (message === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
        continue
      }
      switch (message.kind) {
        case 'wanted':
          feed().catch((error: unknown) => {
            broken = { error }
            wake()
          })
          break
        case 'output':
          yield message.bytes
          tell({ kind: 'taken' })
          break
        case 'end':
          while ((await source.next()).done !== true);
          return
        case 'failed':
          throw new NspawnError(`cannot decompress xz data: ${message.why}`, {
            code: 'BAD_COMPRESSION',
            operation: 'decompress',
            hint: 'fetch them again; if that does not help, install xz-utils and try once more',
          })
      }
    }
  } finally {
    signal?.removeEventListener('abort', cancel)
    await worker.terminate()
    source.return?.().then(undefined, () => undefined)
  }
}
