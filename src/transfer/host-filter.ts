/** A stream of bytes through a program of the host: run without a shell, never outliving its reader. */
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { startFilter, type Filter } from '../process.ts'
import { close, pipe } from '../sys/fd.ts'
import { readPipe, type ChunkUse } from './read-pipe.ts'

export interface HostFilterOptions {
  /** What it is done for, as an infinitive: "decompress xz data". */
  readonly purpose: string
  /** The code of the error when the program fails. */
  readonly code: string
  readonly signal?: AbortSignal | undefined
  /** Default `given`. */
  readonly chunks?: ChunkUse | undefined
}

/**
 * What the program makes of `chunks`. It is killed and reaped when the reader stops, when the signal comes, and when
 * `chunks` fail.
 *
 * @throws (while read) NspawnError with the program's last line when it fails; `CANCELED`; what `chunks` throws
 */
export async function* throughProgram(
  argv: readonly [string, ...string[]],
  chunks: AsyncIterable<Uint8Array>,
  options: HostFilterOptions,
): AsyncGenerator<Uint8Array> {
  throwIfCanceled(options.signal, options.purpose)
  const [readEnd, writeEnd] = pipe()
  const program = startFilter(argv, writeEnd)
  close(writeEnd)
  const source = chunks[Symbol.asyncIterator]()
  let broken: { readonly error: unknown } | undefined
  const kill = () => program.kill()
  const fed = feed(source, program).catch((error: unknown) => {
    broken = { error }
    kill()
  })
  options.signal?.addEventListener('abort', kill)
  try {
    yield* readPipe(readEnd, options.chunks ?? 'given')
    const { ok, how, stderr } = await program.ended
    throwIfCanceled(options.signal, options.purpose)
    if (ok) await fed
    if (broken !== undefined) throw broken.error
    if (!ok) throw failure(argv[0], how, stderr, options)
  } finally {
    options.signal?.removeEventListener('abort', kill)
    kill()
    await program.ended
    // Not waited for: what is asked of a stalled network may take its time to end.
    source.return?.().then(undefined, () => undefined)
  }
}

async function feed(source: AsyncIterator<Uint8Array>, { input }: Filter): Promise<void> {
  for (;;) {
    const { done, value } = await source.next()
    if (done === true) break
    // What the program does not want any more is read all the same: somebody may be hashing it.
    if (!input.writable || input.write(value)) continue
    await new Promise<void>((resolve) => {
      const go = () => {
        input.off('drain', go)
        input.off('close', go)
        resolve()
      }
      input.on('drain', go)
      input.on('close', go)
      if (input.destroyed) go()
    })
  }
  input.end()
}

function failure(
  path: string,
  how: string,
  stderr: string,
  { purpose, code }: HostFilterOptions,
): NspawnError {
  const program = path.slice(path.lastIndexOf('/') + 1)
  // Without the program's own name for what it reads.
  const words = (stderr.split('\n').at(-1) ?? '').replace(/^.*stdin\S*\s*:\s*/, '').trim()
  const why = words === '' ? `${program} ended by ${how}` : words
  return new NspawnError(`cannot ${purpose}: ${why}`, { code, operation: program })
}
