/**
 * Brings one file in: streamed to a hidden temporary name beside its destination, hashed on the way,
 * tried again where the network failed and resumed where it broke off. The destination's name appears
 * only when size and hash are what was promised; on any failure nothing is left.
 */
import { createHash, randomBytes } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NspawnError } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { networkError, openBody, transient, type Body } from './http-body.ts'
import { urlFileName, withoutSecrets } from './url.ts'

export interface Download {
  readonly url: URL
  /** Absolute path; its directory exists. */
  readonly destination: string
  /** 64 lower-case hexadecimal digits. */
  readonly sha256?: string | undefined
  readonly sizeBytes?: number | undefined
  /** More than this is refused as soon as it is announced or seen; default 64 GiB. */
  readonly maxBytes?: number | undefined
  /** Tries after the first; default 3. */
  readonly retries?: number | undefined
  /** A transfer below 30 bytes a second for this long is given up; default 60 s. */
  readonly stallMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

export interface Downloaded {
  readonly sizeBytes: number
  readonly sha256: string
}

const minimumBytesPerSecond = 30
const progressIntervalMs = 200

/**
 * Fetches `url` into `destination`.
 *
 * @throws NspawnError `CHECKSUM_MISMATCH`, `SIZE_MISMATCH`, `TOO_LARGE`, `TRUNCATED`, `STALLED`,
 *   `CANCELED`, what `openBody()` throws, or an errno name for the disk's failures (`ENOSPC`)
 */
export async function download(request: Download): Promise<Downloaded> {
  const partial = join(
    dirname(request.destination),
    `.${basename(request.destination)}.${randomBytes(6).toString('hex')}.part`,
  )
  const step = `cannot fetch ${withoutSecrets(request.url)}`
  try {
    const file = await open(partial, 'wx', 0o644)
    let result: Downloaded
    try {
      result = await withRetries(request, new Sink(file, partial))
    } finally {
      await file.close()
    }
    check(request, result)
    await rename(partial, request.destination)
    return result
  } catch (error) {
    await rm(partial, { force: true })
    if (request.signal?.aborted === true)
      throw new NspawnError(step, { code: 'CANCELED', operation: 'GET' })
    throw wrap(step, error)
  }
}

/**
 * A small file as text (an index, a control file), with the same rules and no file in between.
 *
 * @param maxBytes more is refused
 */
export async function fetchText(
  request: Pick<Download, 'url' | 'signal' | 'retries' | 'stallMs'> & { readonly maxBytes: number },
): Promise<string> {
  const chunks = new Memory()
  try {
    await withRetries(request, chunks)
  } catch (error) {
    const step = `cannot fetch ${withoutSecrets(request.url)}`
    if (request.signal?.aborted === true)
      throw new NspawnError(step, { code: 'CANCELED', operation: 'GET' })
    throw wrap(step, error)
  }
  return chunks.text()
}

type Transfer = Pick<
  Download,
  'url' | 'sha256' | 'sizeBytes' | 'maxBytes' | 'retries' | 'stallMs' | 'signal' | 'log'
>

/** Where the bytes of a transfer go: it can start over, and knows how far it is. */
interface Target {
  readonly sizeBytes: number
  restart(): Promise<void>
  write(chunk: Buffer): Promise<void>
  digest(): string
}

class Sink implements Target {
  sizeBytes = 0
  private hash = createHash('sha256')
  private readonly file: FileHandle
  private readonly path: string

  constructor(file: FileHandle, path: string) {
    this.file = file
    this.path = path
  }

  async restart(): Promise<void> {
    await this.file.truncate(0)
    this.hash = createHash('sha256')
    this.sizeBytes = 0
  }

  async write(chunk: Buffer): Promise<void> {
    this.hash.update(chunk)
    try {
      for (let done = 0; done < chunk.length;) {
        const { bytesWritten } = await this.file.write(
          chunk,
          done,
          chunk.length - done,
          this.sizeBytes + done,
        )
        done += bytesWritten
      }
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException
      throw new NspawnError('cannot write the file', {
        code: code ?? 'EIO',
        operation: syscall,
        subject: this.path,
      })
    }
    this.sizeBytes += chunk.length
  }

  digest(): string {
    return this.hash.digest('hex')
  }
}

class Memory implements Target {
  sizeBytes = 0
  private chunks: Buffer[] = []

  async restart(): Promise<void> {
    this.chunks = []
    this.sizeBytes = 0
  }

  async write(chunk: Buffer): Promise<void> {
    this.chunks.push(chunk)
    this.sizeBytes += chunk.length
  }

  digest(): string {
    return ''
  }

  text(): string {
    return Buffer.concat(this.chunks).toString('utf8')
  }
}

async function withRetries(request: Transfer, target: Target): Promise<Downloaded> {
  let validator: string | undefined
  for (let attempt = 0; ; attempt++) {
    try {
      // Without a validator the rest may belong to another version of the file.
      if (validator === undefined && target.sizeBytes > 0) await target.restart()
      await transfer(request, target, validator, (seen) => (validator = seen))
      return { sizeBytes: target.sizeBytes, sha256: target.digest() }
    } catch (error) {
      if (request.signal?.aborted === true) throw error
      if (attempt >= (request.retries ?? 3) || !transient(error)) throw error
      await sleep(250 * 2 ** attempt, undefined, { signal: request.signal })
    }
  }
}

async function transfer(
  request: Transfer,
  target: Target,
  validator: string | undefined,
  keepValidator: (validator: string | undefined) => void,
): Promise<void> {
  const { url } = request
  const stop = new AbortController()
  const signal =
    request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal])
  const body = await openBody({ url, offset: target.sizeBytes, validator, signal })
  keepValidator(body.validator)
  if (body.offset !== target.sizeBytes) await target.restart()
  const total = body.lengthBytes === undefined ? undefined : body.offset + body.lengthBytes
  const limit = request.sizeBytes ?? request.maxBytes ?? 64 * 1024 ** 3
  const watch = watchForStall(request, target, stop)
  try {
    if (total !== undefined && total > limit) throw tooLarge(request, limit)
    await pump(request, body, target, total, limit)
  } catch (error) {
    if (stop.signal.aborted) throw stop.signal.reason
    throw error instanceof NspawnError ? error : networkError(error, url)
  } finally {
    clearInterval(watch)
    body.stream.on('error', () => {}).destroy()
  }
  if (total !== undefined && target.sizeBytes < total) {
    throw new NspawnError(`the transfer ended after ${target.sizeBytes} of ${total} bytes`, {
      code: 'TRUNCATED',
      operation: 'GET',
      subject: withoutSecrets(url),
    })
  }
}

async function pump(
  request: Transfer,
  body: Body,
  target: Target,
  total: number | undefined,
  limit: number,
): Promise<void> {
  const log = request.log ?? silent
  const text = urlFileName(request.url)
  let shown = 0
  for await (const chunk of body.stream as AsyncIterable<Buffer>) {
    if (target.sizeBytes + chunk.length > limit) throw tooLarge(request, limit)
    await target.write(chunk)
    const now = performance.now()
    if (now - shown < progressIntervalMs && target.sizeBytes !== total) continue
    shown = now
    log({
      kind: 'progress',
      text,
      done: target.sizeBytes,
      total: total ?? request.sizeBytes,
      unit: 'bytes',
    })
  }
}

function watchForStall(request: Transfer, target: Target, stop: AbortController): NodeJS.Timeout {
  const stallMs = request.stallMs ?? 60_000
  const least = (minimumBytesPerSecond * stallMs) / 1000
  let before = target.sizeBytes
  return setInterval(() => {
    if (target.sizeBytes - before < least) {
      stop.abort(
        new NspawnError(
          `fewer than ${minimumBytesPerSecond} bytes a second for ${stallMs / 1000} s`,
          {
            code: 'STALLED',
            operation: 'GET',
            subject: withoutSecrets(request.url),
          },
        ),
      )
    }
    before = target.sizeBytes
  }, stallMs)
}

function tooLarge(request: Transfer, limit: number): NspawnError {
  const promised = request.sizeBytes !== undefined
  return new NspawnError(
    promised ? `it is larger than the ${limit} bytes promised` : `it is larger than ${limit} bytes`,
    {
      code: promised ? 'SIZE_MISMATCH' : 'TOO_LARGE',
      operation: 'GET',
      subject: withoutSecrets(request.url),
    },
  )
}

function check(request: Download, got: Downloaded): void {
  const subject = withoutSecrets(request.url)
  if (request.sizeBytes !== undefined && got.sizeBytes !== request.sizeBytes) {
    throw new NspawnError(
      `it has ${got.sizeBytes} bytes where ${request.sizeBytes} were promised`,
      {
        code: 'SIZE_MISMATCH',
        operation: 'check size',
        subject,
      },
    )
  }
  if (request.sha256 !== undefined && got.sha256 !== request.sha256) {
    throw new NspawnError(`its sha256 is ${got.sha256}, promised was ${request.sha256}`, {
      code: 'CHECKSUM_MISMATCH',
      operation: 'check sha256',
      subject,
      hint: 'the file was changed or damaged on the way: try again, or use another mirror',
    })
  }
}

function wrap(step: string, error: unknown): unknown {
  const { code } = error as { code?: string }
  return code === undefined ? error : new NspawnError(step, { code, cause: error })
}
