/**
 * Brings one file in: streamed to a hidden temporary name beside its destination, hashed on the way,
 * tried again where the network failed and resumed where it broke off. The destination's name appears
 * only when size and hash are what was promised; on any failure nothing is left.
 */
import { randomBytes } from 'node:crypto'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../errors.ts'
import { openContent, type SteadyRequest, type SteadyStream } from './steady-stream.ts'
import { withoutSecrets } from './url.ts'

export interface Download extends Omit<SteadyRequest, 'known' | 'earlier'> {
  /** Absolute path; its directory exists. */
  readonly destination: string
  /** 64 lower-case hexadecimal digits. */
  readonly sha256?: string | undefined
}

export interface Downloaded {
  readonly sizeBytes: number
  readonly sha256: string
  readonly etag: string | undefined
  /** Milliseconds since 1970. */
  readonly modifiedMs: number | undefined
}

/** So often a file may change on the server while it comes in. */
const changesLimit = 3

/**
 * Fetches `url` into `destination`.
 *
 * @throws NspawnError `CHECKSUM_MISMATCH`, `SIZE_MISMATCH`, `TOO_LARGE`, `TRUNCATED`, `STALLED`, `FILE_CHANGED`,
 *   `CANCELED`, what `openBody()` throws, or an errno name for the disk's failures (`ENOSPC`)
 */
export async function download(request: Download): Promise<Downloaded> {
  const partial = join(
    dirname(request.destination),
    `.${basename(request.destination)}.${randomBytes(6).toString('hex')}.part`,
  )
  try {
    const file = await open(partial, 'wx', 0o644)
    let result: Downloaded
    try {
      result = await unlessChanged(request, (stream) => writeAll(stream, file, partial))
    } finally {
      await file.close()
    }
    check(request, result)
    await rename(partial, request.destination)
    return result
  } catch (error) {
    await rm(partial, { force: true })
    throw fetchError(request, error)
  }
}

export type SmallFile = Pick<
  SteadyRequest,
  'url' | 'signal' | 'retries' | 'stallMs' | 'accept' | 'authority'
> & {
  /** More is refused. */
  readonly maxBytes: number
}

/** A small file (an index, a signature), with the same rules and no file in between. */
export async function fetchBytes(request: SmallFile): Promise<Buffer> {
  return (await fetchTyped(request)).bytes
}

/** The same, with the media type that the server says. */
export async function fetchTyped(
  request: SmallFile,
): Promise<{ readonly bytes: Buffer; readonly contentType: string | undefined }> {
  let chunks: Buffer[] = []
  let contentType: string | undefined
  try {
    await unlessChanged(request, async (stream) => {
      chunks = []
      contentType = stream.contentType
      for await (const chunk of stream.chunks) chunks.push(chunk)
    })
  } catch (error) {
    throw fetchError(request, error)
  }
  return { bytes: Buffer.concat(chunks), contentType }
}

/** The same as text. */
export async function fetchText(request: SmallFile): Promise<string> {
  return (await fetchBytes(request)).toString('utf8')
}

/** What went wrong, with the file it was wanted for. */
export function fetchError(
  { url, signal }: Pick<SteadyRequest, 'url' | 'signal'>,
  error: unknown,
): unknown {
  const step = `cannot fetch ${withoutSecrets(url)}`
  if (signal?.aborted === true) return new NspawnError(step, { code: 'CANCELED', operation: 'GET' })
  const { code } = error as { code?: string }
  return code === undefined ? error : new NspawnError(step, { code, cause: error })
}

/** Reads the file with `read`, from its beginning again when it was changed in between. */
async function unlessChanged(
  request: SteadyRequest,
  read: (stream: SteadyStream) => Promise<void>,
): Promise<Downloaded> {
  for (let changes = 0; ; changes++) {
    const stream = await openContent(request)
    try {
      await read(stream)
      const { etag, modifiedMs } = stream
      return { sizeBytes: stream.sizeBytes(), sha256: stream.sha256(), etag, modifiedMs }
    } catch (error) {
      if ((error as NspawnError).code !== 'FILE_CHANGED' || changes >= changesLimit) throw error
    }
  }
}

async function writeAll(stream: SteadyStream, file: FileHandle, path: string): Promise<void> {
  await file.truncate(0)
  let position = 0
  for await (const chunk of stream.chunks) {
    try {
      for (let done = 0; done < chunk.length;) {
        const left = chunk.length - done
        done += (await file.write(chunk, done, left, position + done)).bytesWritten
      }
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException
      throw new NspawnError('cannot write the file', {
        code: code ?? 'EIO',
        operation: syscall,
        subject: path,
      })
    }
    position += chunk.length
  }
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
