/**
 * The thread that decompresses xz where the host has no program for it. It asks for input and for leave to go on with
 * output, so neither side gets ahead of the other. A bundle of its own (`dist/xz-worker.cjs`).
 */
import { parentPort } from 'node:worker_threads'
import { XzReadableStream } from 'xz-decompress'
import { splitAtStreams, type Segment } from './xz-streams.ts'

export type ToXzWorker =
  | { readonly kind: 'input'; readonly bytes: Uint8Array | undefined }
  | { readonly kind: 'taken' }
export type FromXzWorker =
  | { readonly kind: 'wanted' }
  | { readonly kind: 'output'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'failed'; readonly why: string }

const nothing = new Uint8Array(0)

/** Chunks that may be under way to the reader. */
const AHEAD = 8

const port = parentPort
if (port === null) throw new Error('this is a thread of a program')

let giveInput: (bytes: Uint8Array | undefined) => void = () => {}
let goOn = () => {}
/** Chunks that are under way. */
let ahead = 0

port.on('message', (message: ToXzWorker) => {
  if (message.kind === 'input') giveInput(message.bytes)
  else {
    ahead--
    goOn()
  }
})

const tell = (message: FromXzWorker, transfer: ArrayBuffer[] = []) =>
  port.postMessage(message, transfer)

async function* input(): AsyncGenerator<Uint8Array> {
  for (;;) {
    const given = new Promise<Uint8Array | undefined>((resolve) => (giveInput = resolve))
    tell({ kind: 'wanted' })
    const bytes = await given
    if (bytes === undefined) return
    yield bytes
  }
}

async function output(bytes: Uint8Array): Promise<void> {
  ahead++
  tell({ kind: 'output', bytes }, [bytes.buffer as ArrayBuffer])
  if (ahead >= AHEAD) await new Promise<void>((resolve) => (goOn = resolve))
}

async function work(): Promise<void> {
  const segments = splitAtStreams(input())
  for (;;) {
    let last: Segment | undefined
    // The decoder may ask before it knows that it is at the end. Asked again, it wants what comes behind.
    let asksOnce = false
    const compressed = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          if (asksOnce && last?.endsBeforeStream === true) {
            asksOnce = false
            return controller.enqueue(nothing)
          }
          const next = await segments.next()
          if (next.done === true) return controller.close()
          last = next.value
          asksOnce = true
          controller.enqueue(next.value.bytes)
        },
      },
      // Only what the decoder asks for: so a stream that ends where another may begin has ended there.
      { highWaterMark: 0 },
    )
    for await (const bytes of new XzReadableStream(compressed)) await output(bytes)
    if (last?.endsBeforeStream !== true) return
  }
}

/** The decoder's answers (xz_ret) that can come from data, in words. */
const answers: Readonly<Record<string, string>> = {
  2: 'their kind of checksum is not supported',
  3: 'they need too much memory',
  4: 'they need too much memory',
  5: 'what follows is no xz data',
  6: 'they need what the decoder cannot do',
  7: 'they are damaged',
  8: 'they stop early',
}

function inWords(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return answers[/error code (\d+)$/.exec(message)?.[1] ?? ''] ?? message
}

work().then(
  () => tell({ kind: 'end' }),
  (error: unknown) => tell({ kind: 'failed', why: inWords(error) }),
)
