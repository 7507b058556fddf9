/** A file that is written from front to back, where whole blocks of zeros become holes. */
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { setWrittenInPlace } from '../../sys/inode-flags.ts'

/** What file systems allocate: a hole in less than that saves nothing. */
const BLOCK = 4096
const zeros = Buffer.alloc(BLOCK)

export interface NewFile {
  /** Before the umask is taken off; default 0664, which systemd's disk images have. */
  readonly mode?: number
  /** For messages; default `the disk image`. */
  readonly name?: string
}

export class SparseFile implements Disposable {
  readonly fd: number
  private readonly name: string
  private position = 0

  private constructor(fd: number, name: string) {
    this.fd = fd
    this.name = name
  }

  /** @throws NspawnError, `EEXIST` when something is there */
  static create(path: string, { mode = 0o664, name = 'the disk image' }: NewFile = {}): SparseFile {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
    return new SparseFile(
      attempt(name, 'open', () => openSync(path, flags, mode)),
      name,
    )
  }

  /** @param fd an empty file, open for writing at its start; closed at the end of the scope */
  static of(fd: number, name: string): SparseFile {
    return new SparseFile(fd, name)
  }

  /** Bytes from the start to where writing goes on. */
  get length(): number {
    return this.position
  }

  /** As `setWrittenInPlace()`: on btrfs a disk image that a machine writes to falls apart otherwise. */
  writeInPlace(): void {
    setWrittenInPlace(this.fd)
  }

  /** @throws NspawnError, `ENOSPC`, `EDQUOT`, `EFBIG` and what else write(2) says */
  write(chunk: Uint8Array): void {
    let unwritten = 0
    for (let at = 0; at < chunk.length;) {
      const end = Math.min(chunk.length, at + BLOCK - ((this.position + at) % BLOCK))
      if (isZero(chunk, at, end)) {
        this.put(chunk, unwritten, at)
        unwritten = end
      }
      at = end
    }
    this.put(chunk, unwritten, chunk.length)
    this.position += chunk.length
  }

  /** Leaves a hole. */
  skip(bytes: number): void {
    this.position += bytes
  }

  /** Gives the file its length, which a hole at its end did not. */
  finish(): void {
    attempt(this.name, 'ftruncate', () => ftruncateSync(this.fd, this.position))
  }

  /** Has it reach the disk. */
  sync(): void {
    attempt(this.name, 'fsync', () => fsyncSync(this.fd))
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }

  private put(chunk: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end;) {
      const from = at
      at += attempt(this.name, 'write', () =>
        writeSync(this.fd, chunk, from, end - from, this.position + from),
      )
    }
  }
}

function attempt<T>(name: string, operation: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
    throw new NspawnError(`cannot write ${name}`, { code, operation, hint: hints[code] })
  }
}

const hints: Partial<Record<string, string>> = {
  ENOSPC: 'make room on that file system',
  EDQUOT: 'the quota there is used up',
  EFBIG: 'that file system cannot hold a file of this size',
}

function isZero(chunk: Uint8Array, start: number, end: number): boolean {
  return chunk[start] === 0 && zeros.compare(chunk, start, end, 0, end - start) === 0
}
