/**
 * The compressed bytes of a pull, kept while they are unpacked, so that a pull that broke off goes on where it was in
 * the next run: a hidden file in the directory of the image, named after the URL. It is locked by the pull that
 * writes it, which makes it the lock of the URL too.
 */
import { createHash } from 'node:crypto'
import {
  fstatSync,
  read as readCallback,
  ftruncateSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { NspawnError } from '../../errors.ts'
import { tryLockFileAt, type LockFile } from '../../images/lock.ts'
import type { EarlierBytes } from '../steady-stream.ts'

/** Names that begin so are no images. */
const prefix = '.#pull-'
const suffix = '.part'

/** The first bytes of the file say what it is a part of; the rest are the bytes themselves. */
const headerBytes = 4096
const readBytes = 256 * 1024

/** Parts that nobody came back for in a week are given up. */
export const partAgeMs = 7 * 24 * 3600 * 1000

interface Header {
  readonly part: 1
  readonly url: string
  readonly validator: string
  readonly totalBytes: number | null
  /** The boot that wrote it: after a crash of the host nobody knows which of its bytes reached the disk. */
  readonly boot: string
}

const readAt = promisify(readCallback)

export class PartFile {
  readonly path: string
  private readonly lock: LockFile
  private readonly url: string
  /** Bytes of the file that are known to be right. */
  private sizeBytes = 0
  private writing = false
  /** What an earlier run has left is of use, and still as it was found. */
  private untouched = false

  private constructor(lock: LockFile, url: string) {
    this.lock = lock
    this.path = lock.path
    this.url = url
  }

  /**
   * Claims the part of a URL.
   *
   * @param url see `identifyingUrl()`
   * @param shownUrl for messages
   * @throws NspawnError `EBUSY` when another pull of this URL is under way here
   */
  static claim(directory: string, url: string, shownUrl = url): PartFile {
    const path = partPath(directory, url)
    const lock = tryLockFileAt(path, 'exclusive')
    if (lock !== undefined) return new PartFile(lock, url)
    throw new NspawnError(`a transfer of ${shownUrl} is under way already`, {
      code: 'EBUSY',
      subject: path,
      hint: 'list-transfers shows it; wait for its end, or end it with cancel-transfer',
    })
  }

  /**
   * What an earlier run has left of the file.
   *
   * @param trusted what is known of the bytes: after a crash of the host only those that a checksum vouches for count
   */
  earlier(trusted: 'checked' | 'unchecked'): EarlierBytes | undefined {
    const header = readHeader(this.lock.fd)
    const sizeBytes = fstatSync(this.lock.fd).size - headerBytes
    if (header === undefined || header.url !== this.url || sizeBytes <= 1) return undefined
    if (trusted === 'unchecked' && header.boot !== bootId()) return undefined
    this.untouched = true
    // One byte is asked for even of a file that is whole: the answer says whether it is still the same.
    this.sizeBytes = Math.min(sizeBytes, (header.totalBytes ?? Infinity) - 1)
    return {
      sizeBytes: this.sizeBytes,
      totalBytes: header.totalBytes ?? undefined,
      validator: header.validator,
      read: () => this.read(),
    }
  }

  /** Goes on behind the first `sizeBytes` bytes; with 0 it begins anew, for this version of the file. */
  begin(version: {
    readonly earlierBytes: number
    readonly validator: string | undefined
    readonly totalBytes: number | undefined
  }): void {
    this.sizeBytes = version.earlierBytes
    this.untouched = false
    this.writing = version.validator !== undefined
    if (version.earlierBytes > 0) return ftruncateSync(this.lock.fd, headerBytes + this.sizeBytes)
    ftruncateSync(this.lock.fd, 0)
    if (version.validator === undefined) return
    const header: Header = {
      part: 1,
      url: this.url,
      validator: version.validator,
      totalBytes: version.totalBytes ?? null,
      boot: bootId(),
    }
    const text = Buffer.from(JSON.stringify(header))
    if (text.length > headerBytes) return void (this.writing = false)
    writeSync(
      this.lock.fd,
      Buffer.concat([text, Buffer.alloc(headerBytes - text.length, ' ')]),
      0,
      headerBytes,
      0,
    )
  }

  /**
   * Appends; nothing where the version cannot be told from others later. Written at once: it goes to memory, and bytes
   * that somebody may change or hand on are not kept waiting.
   */
  append(chunk: Buffer): void {
    if (!this.writing) return
    try {
      for (let done = 0; done < chunk.length;) {
        const at = headerBytes + this.sizeBytes + done
        done += writeSync(this.lock.fd, chunk, done, chunk.length - done, at)
      }
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException
      throw new NspawnError('cannot keep what was downloaded', {
        code: code ?? 'EIO',
        operation: syscall,
        subject: this.path,
      })
    }
    this.sizeBytes += chunk.length
  }

  /** Whether all that is here was brought by an earlier run: no failure of this one speaks against it. */
  get isUntouched(): boolean {
    return this.untouched
  }

  /** Whether a later run can go on from here. */
  get resumable(): boolean {
    return (this.writing || this.untouched) && this.sizeBytes > 0
  }

  /** Lets go of the file and leaves it for a later run. */
  keep(): void {
    this.lock.abandon()
  }

  remove(): void {
    this.lock.release()
  }

  private async *read(): AsyncGenerator<Buffer> {
    const end = this.sizeBytes
    for (let at = 0; at < end;) {
      const chunk = Buffer.allocUnsafe(Math.min(readBytes, end - at))
      const { bytesRead } = await readAt(this.lock.fd, chunk, 0, chunk.length, headerBytes + at)
      if (bytesRead === 0)
        throw new NspawnError('the part of the file has become shorter', {
          code: 'EIO',
          subject: this.path,
        })
      at += bytesRead
      yield chunk.subarray(0, bytesRead)
    }
  }
}

/**
 * Removes the parts of pulls that ended, and never those of pulls under way.
 *
 * @param minimumAgeMs younger ones stay
 * @returns the paths removed
 */
export function removeParts(directory: string, minimumAgeMs: number): string[] {
  return partNames(directory).flatMap((name) => {
    const path = join(directory, name)
    const facts = statSync(path, { throwIfNoEntry: false })
    if (facts === undefined || Date.now() - facts.mtimeMs < minimumAgeMs) return []
    return removePart(path) ? [path] : []
  })
}

/** Those that `removeParts()` would remove at any age, with their size; nothing is changed. */
export function idleParts(directory: string): { readonly path: string; readonly bytes: number }[] {
  return partNames(directory).flatMap((name) => {
    const path = join(directory, name)
    const lock = tryLockFileAt(path, 'exclusive')
    if (lock === undefined) return []
    lock.abandon()
    return [{ path, bytes: (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512 }]
  })
}

/** Removes a part unless a pull is at it. */
export function removePart(path: string): boolean {
  const lock = tryLockFileAt(path, 'exclusive')
  lock?.release()
  return lock !== undefined
}

/** Where the part of a URL lies. @param url see `identifyingUrl()` */
export function partPath(directory: string, url: string): string {
  const hash = createHash('sha256').update(url).digest('hex').slice(0, 32)
  return join(directory, prefix + hash + suffix)
}

function partNames(directory: string): string[] {
  try {
    return readdirSync(directory).filter((name) => name.startsWith(prefix) && name.endsWith(suffix))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function readHeader(fd: number): Header | undefined {
  const bytes = Buffer.alloc(headerBytes)
  if (readSync(fd, bytes, 0, headerBytes, 0) < headerBytes) return undefined
  try {
    const header = JSON.parse(bytes.toString('utf8')) as Partial<Header>
    const known = header.part === 1 && typeof header.validator === 'string'
    return known ? (header as Header) : undefined
  } catch {
    return undefined
  }
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}
