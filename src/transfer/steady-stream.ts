/**
 * One file as one stream of bytes, whatever the network does in between: a transfer that breaks off is tried again and
 * goes on where it was, with a range request where the server can, else by reading the beginning once more and
 * comparing it. Two versions of a file are never mixed: when it was changed meanwhile, the stream ends with
 * `FILE_CHANGED` and its reader begins anew.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { NspawnError } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import {
  networkError,
  openBody,
  transient,
  type Body,
  type BodyRequest,
  type NotModified,
} from './http-body.ts'
import { unpackedBytesMax } from './size-limit.ts'
import { Speed } from './speed.ts'
import { StallWatch } from './stall-watch.ts'
import { urlFileName, withoutSecrets } from './url.ts'

/** What an earlier run has brought of a file. */
export interface EarlierBytes {
  readonly sizeBytes: number
  /** Of the whole file, where that was known. */
  readonly totalBytes: number | undefined
  /** What tells whether the file is still the same. */
  readonly validator: string
  read(): AsyncIterable<Buffer>
}

export interface SteadyRequest extends Pick<BodyRequest, 'accept' | 'authority'> {
  readonly url: URL
  /** The size that was promised: more is refused. */
  readonly sizeBytes?: number | undefined
  /** More than this is refused as soon as it is announced or seen; default 64 GiB. */
  readonly maxBytes?: number | undefined
  /** Tries in a row that bring nothing, after the first; default 3. */
  readonly retries?: number | undefined
  /** A transfer below 30 bytes a second for this long is given up; default 60 s. */
  readonly stallMs?: number | undefined
  readonly bytesPerSecond?: number | undefined
  /** ETags of versions that need not be sent. */
  readonly known?: readonly string[] | undefined
  readonly earlier?: EarlierBytes | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface SteadyStream {
  readonly state: 'content'
  readonly etag: string | undefined
  readonly validator: string | undefined
  readonly modifiedMs: number | undefined
  readonly contentType: string | undefined
  readonly totalBytes: number | undefined
  /** So many of the first bytes are not new but those of `earlier`; 0 when the file has changed since. */
  readonly earlierBytes: number
  /** The bytes from the beginning on; to be read once. */
  readonly chunks: AsyncIterable<Buffer>
  /** Gives the answer up; needed only where `chunks` are not read. */
  close(): void
  /** Bytes handed out. */
  sizeBytes(): number
  /** Lower-case hexadecimal SHA256 of the bytes handed out. */
  sha256(): string
}

const progressIntervalMs = 200
const firstDelayMs = 250
/** A try that got so much further was not in vain. */
const gainBytes = 16 * 1024

/**
 * Opens `url`; resolves when the server has answered.
 *
 * @throws NspawnError what `openBody()` throws, `TOO_LARGE`, `SIZE_MISMATCH`; while read also `TRUNCATED`, `STALLED`
 *   and `FILE_CHANGED`
 */
export async function openSteady(request: SteadyRequest): Promise<SteadyStream | NotModified> {
  const source = new Source(request)
  const first = await source.first()
  return first.state === 'not-modified' ? first : source.stream(first)
}

/** The same for those that know of no version yet, and want the bytes. */
export async function openContent(request: Omit<SteadyRequest, 'known'>): Promise<SteadyStream> {
  const answer = await openSteady(request)
  if (answer.state === 'content') return answer
  throw new Error('the answer to a question that was not asked')
}

class Source {
  private position = 0
  private readonly hash = createHash('sha256')
  validator: string | undefined
  totalBytes: number | undefined
  private failures = 0
  private gainedAt = 0
  private earlier: EarlierBytes | undefined
  private stop = new AbortController()
  private readonly speed = new Speed()
  private shownMs = 0
  private sendAtMs = 0
  private readonly request: SteadyRequest

  constructor(request: SteadyRequest) {
    this.request = request
    this.earlier = request.earlier
  }

  async first(): Promise<Body | NotModified> {
    for (;;) {
      try {
        const answer = await this.ask(this.earlier?.sizeBytes ?? 0, this.earlier?.validator)
        if (answer.state === 'not-modified') return answer
        if (answer.offset > 0 && !isSame(answer, this.earlier)) {
          discard(answer)
          this.earlier = undefined
          continue
        }
        if (answer.offset === 0) this.earlier = undefined
        this.validator = answer.validator ?? this.earlier?.validator
        this.totalBytes = total(answer)
        this.checkLimit(answer)
        return answer
      } catch (error) {
        if (this.earlier !== undefined && (error as NspawnError).code === 'BAD_RANGE')
          this.earlier = undefined
        else await this.pauseBeforeRetry(error)
      }
    }
  }

  stream(first: Body): SteadyStream {
    return {
      state: 'content',
      etag: first.etag,
      validator: first.validator,
      modifiedMs: first.modifiedMs,
      contentType: first.contentType,
      totalBytes: this.totalBytes,
      earlierBytes: this.earlier?.sizeBytes ?? 0,
      chunks: this.chunks(first),
      close: () => discard(first),
      sizeBytes: () => this.position,
      sha256: () => this.hash.copy().digest('hex'),
    }
  }

  private async *chunks(first: Body): AsyncGenerator<Buffer> {
    let body: Body | undefined = first
    try {
      for await (const chunk of this.earlier?.read() ?? []) yield this.count(chunk)
      this.gainedAt = this.position
      for (;;) {
        try {
          body ??= await this.again()
          yield* this.pass(body)
          return
        } catch (error) {
          if (body !== undefined) discard(body)
          body = undefined
          await this.pauseBeforeRetry(error)
        }
      }
    } finally {
      if (body !== undefined) discard(body)
    }
  }

  /** Asks for the rest. Without a validator the file is asked for whole, and its beginning compared. */
  private async again(): Promise<Body> {
    let answer: Body | NotModified
    try {
      answer = await this.ask(this.validator === undefined ? 0 : this.position, this.validator)
    } catch (error) {
      throw (error as NspawnError).code === 'BAD_RANGE' ? this.changed() : error
    }
    if (answer.state === 'not-modified') throw this.changed()
    if (isSame(answer, this)) return answer
    discard(answer)
    throw this.changed()
  }

  private async ask(offset: number, validator: string | undefined): Promise<Body | NotModified> {
    const { url, signal, known, accept, authority } = this.request
    this.stop = new AbortController()
    return openBody({
      url,
      offset,
      validator,
      known: this.position === 0 ? known : undefined,
      accept,
      authority,
      signal: signal === undefined ? this.stop.signal : AbortSignal.any([this.stop.signal, signal]),
    })
  }

  private async *pass(body: Body): AsyncGenerator<Buffer> {
    const { url, stallMs = 60_000 } = this.request
    const watch = new StallWatch(url, stallMs)
    const bytes = (body.stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
    const { stop } = this
    const next = async (): Promise<IteratorResult<Buffer>> => {
      try {
        return await watch.wait(
          () => bytes.next(),
          (reason) => {
            stop.abort(reason)
            // A file of this host knows nothing of the signal.
            body.stream.destroy(reason)
          },
        )
      } catch (error) {
        if (stop.signal.aborted) throw stop.signal.reason
        throw networkError(error, url)
      }
    }
    const repeated = body.offset < this.position ? new Repetition(this.position) : undefined
    for (let step = await next(); step.done !== true; step = await next()) {
      const fresh = repeated?.pass(step.value) ?? step.value
      if (repeated?.differs(this.hash) === true) throw this.changed()
      if (fresh.length === 0) continue
      yield this.count(fresh)
      await this.holdBack(fresh.length)
    }
    if (repeated !== undefined && !repeated.complete) throw this.truncated(body)
    if (this.totalBytes !== undefined && this.position < this.totalBytes) throw this.truncated(body)
  }

  private count(chunk: Buffer): Buffer {
    if (this.position + chunk.length > this.limit()) throw this.tooLarge()
    this.hash.update(chunk)
    this.position += chunk.length
    this.speed.note(this.position)
    this.show()
    return chunk
  }

  private show(): void {
    const { request, totalBytes } = this
    const now = performance.now()
    if (now - this.shownMs < progressIntervalMs && this.position !== totalBytes) return
    this.shownMs = now
    const log = request.log ?? silent
    log({
      kind: 'progress',
      text: urlFileName(request.url),
      done: this.position,
      total: totalBytes ?? request.sizeBytes,
      unit: 'bytes',
      ...this.speed.facts(totalBytes ?? request.sizeBytes),
    })
  }

  private async holdBack(bytes: number): Promise<void> {
    const { bytesPerSecond, signal } = this.request
    if (bytesPerSecond === undefined) return
    const now = performance.now()
    this.sendAtMs = Math.max(this.sendAtMs, now) + (bytes / bytesPerSecond) * 1000
    if (this.sendAtMs > now) await sleep(this.sendAtMs - now, undefined, { signal })
  }

  private async pauseBeforeRetry(error: unknown): Promise<void> {
    const { signal, retries = 3 } = this.request
    if (this.position - this.gainedAt >= gainBytes) {
      this.failures = 0
      this.gainedAt = this.position
    }
    if (signal?.aborted === true || this.failures >= retries || !transient(error)) throw error
    await sleep(firstDelayMs * 2 ** this.failures++, undefined, { signal })
  }

  private limit(): number {
    return this.request.sizeBytes ?? this.request.maxBytes ?? unpackedBytesMax
  }

  private checkLimit(body: Body): void {
    if ((this.totalBytes ?? 0) <= this.limit()) return
    discard(body)
    throw this.tooLarge()
  }

  private tooLarge(): NspawnError {
    const promised = this.request.sizeBytes !== undefined
    const limit = this.limit()
    return new NspawnError(
      promised
        ? `it is larger than the ${limit} bytes promised`
        : `it is larger than ${limit} bytes`,
      { code: promised ? 'SIZE_MISMATCH' : 'TOO_LARGE', ...this.subject() },
    )
  }

  private truncated(body: Body): NspawnError {
    const of = total(body) === undefined ? '' : ` of ${total(body)}`
    return new NspawnError(`the transfer ended after ${this.position}${of} bytes`, {
      code: 'TRUNCATED',
      ...this.subject(),
    })
  }

  private changed(): NspawnError {
    return new NspawnError('the file was changed on the server during the transfer', {
      code: 'FILE_CHANGED',
      hint: 'the server may be in the middle of an update: try again in some minutes',
      ...this.subject(),
    })
  }

  private subject(): { operation: string; subject: string } {
    return { operation: 'GET', subject: withoutSecrets(this.request.url) }
  }
}

/** The beginning of a file that comes a second time: skipped, and compared by its hash. */
class Repetition {
  private left: number
  private readonly hash = createHash('sha256')
  private compared = false

  constructor(bytes: number) {
    this.left = bytes
  }

  get complete(): boolean {
    return this.left === 0
  }

  /** What of the chunk is new. */
  pass(chunk: Buffer): Buffer {
    if (this.left === 0) return chunk
    const old = chunk.subarray(0, this.left)
    this.hash.update(old)
    this.left -= old.length
    return chunk.subarray(old.length)
  }

  /** Whether the beginning is known not to be the one of before; tells it once. */
  differs(before: ReturnType<typeof createHash>): boolean {
    if (this.left > 0 || this.compared) return false
    this.compared = true
    return this.hash.digest('hex') !== before.copy().digest('hex')
  }
}

/**
 * Whether the answer is about the version that is known. The rest of a file may come without a date: the server has
 * compared it already (RFC 9110 section 15.3.7).
 */
function isSame(
  answer: Body,
  known:
    | (Pick<EarlierBytes, 'totalBytes'> & { readonly validator: string | undefined })
    | undefined,
): boolean {
  if (
    answer.validator !== known?.validator &&
    !(answer.offset > 0 && answer.validator === undefined)
  )
    return false
  const [now, before] = [total(answer), known?.totalBytes]
  return now === undefined || before === undefined || now === before
}

function total(body: Body): number | undefined {
  return body.lengthBytes === undefined ? undefined : body.offset + body.lengthBytes
}

function discard(body: Body): void {
  body.stream.on('error', () => {}).destroy()
}
