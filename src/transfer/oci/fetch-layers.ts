/** Layers come in several at once, and each is there for its reader as soon as it is whole. */
import type { CleanupStack } from '../../cleanup.ts'
import type { LogEvent, LogSink } from '../../log.ts'
import { Slots } from '../../slots.ts'
import { Speed } from '../speed.ts'
import type { BlobStore } from './blob-store.ts'
import type { Digest } from './digest.ts'
import type { Descriptor } from './documents.ts'
import type { Registry } from './registry.ts'

const atOnce = 5

export interface FetchedLayers {
  /** Resolves to the layer's path. @throws NspawnError what went wrong with it */
  wait(layer: Descriptor): Promise<string>
  /** Bytes that came over the network, up to now. */
  fetchedBytes(): number
}

export interface FetchLayers {
  readonly layers: readonly Descriptor[]
  readonly registry: Registry
  readonly store: BlobStore
  /** Whether the cache gets what came in. */
  readonly keep: boolean
  readonly signal: AbortSignal
  readonly log: LogSink
  /** Called with how much of all layers is there, 0 to 1. */
  readonly progress: (fraction: number) => void
  /** Called with the first failure; the others may then be stopped. */
  readonly failed: (error: unknown) => void
}

/** Starts fetching. The cleanup stack waits until nothing of it goes on any more. */
export function fetchLayers(request: FetchLayers, cleanup: CleanupStack): FetchedLayers {
  const { registry, store, keep, signal, failed } = request
  const unique = new Map(request.layers.map((layer) => [layer.digest, layer]))
  const shown = new SumOfProgress(request, [...unique.values()])
  let fetched = 0
  const slots = new Slots(atOnce)
  const fetch = async (layer: Descriptor): Promise<string> => {
    const path = store.pathOf(layer)
    if (!(await store.take(layer, signal))) {
      await registry.download(layer, path, shown.sinkOf(layer.digest))
      fetched += layer.sizeBytes
      if (keep) await store.keep([layer])
    }
    shown.complete(layer)
    return path
  }
  const arrivals = new Map(
    [...unique].map(([digest, layer]) => [digest, slots.run(() => fetch(layer))] as const),
  )
  for (const arrival of arrivals.values()) arrival.catch(failed)
  cleanup.defer('downloads', async () => void (await Promise.allSettled(arrivals.values())))
  return {
    wait: ({ digest }) => arrivals.get(digest) as Promise<string>,
    fetchedBytes: () => fetched,
  }
}

/** One line of progress for all layers together. */
class SumOfProgress {
  private readonly done = new Map<Digest, number>()
  private readonly speed = new Speed()
  private readonly total: number
  private readonly log: LogSink
  private readonly progress: (fraction: number) => void

  constructor({ log, progress }: FetchLayers, layers: readonly Descriptor[]) {
    this.log = log
    this.progress = progress
    this.total = layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  }

  sinkOf(digest: Digest): LogSink {
    return (event: LogEvent) => {
      if (event.kind === 'progress') this.show(digest, event.done)
      else this.log(event)
    }
  }

  complete({ digest, sizeBytes }: Descriptor): void {
    this.show(digest, sizeBytes)
  }

  private show(digest: Digest, bytes: number): void {
    this.done.set(digest, bytes)
    const done = [...this.done.values()].reduce((sum, one) => sum + one, 0)
    this.speed.note(done)
    const { total } = this
    if (total > 0) this.progress(done / total)
    this.log({
      kind: 'progress',
      text: 'layers',
      done,
      total,
      unit: 'bytes',
      ...this.speed.facts(total),
    })
  }
}
