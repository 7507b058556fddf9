/**
 * Signed indexes that were fetched once, kept below the state directory: what an archive says can be read again when
 * it has not changed, or when nothing may be fetched. Nothing in here is trusted: signatures and hashes are
 * checked again by those who read it.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  type FileHandle,
} from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import { missing } from '../../read-if-there.ts'
import { withoutSecrets } from '../../transfer/url.ts'
import type { Digest } from './digest.ts'

/** What nobody has asked for in this long is dropped: archives publish several a day. */
const keepMs = 14 * 24 * 3600 * 1000

export class ArchiveCache {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /** The text that was kept for this address. */
  async release(url: URL): Promise<string | undefined> {
    return readFile(this.releasePath(url), 'utf8').catch(missing)
  }

  async keepRelease(url: URL, text: string): Promise<void> {
    const entry = await this.begin(this.releasePath(url))
    await entry.write(Buffer.from(text))
    await entry.keep()
    await this.dropOld()
  }

  /** The path of the index with this hash; one that was damaged is dropped. */
  async index({ algorithm, hex }: Digest): Promise<string | undefined> {
    const path = this.indexPath(hex)
    if ((await hashFile(path, undefined, algorithm).catch(missing)) === hex) {
      const now = new Date()
      await utimes(path, now, now).catch(missing)
      return path
    }
    await rm(path, { force: true })
    return undefined
  }

  /** A place for the index with this hash, to be filled while it is read. */
  async incoming({ hex }: Digest): Promise<Incoming> {
    return this.begin(this.indexPath(hex))
  }

  private releasePath(url: URL): string {
    return join(this.directory, `${createHash('sha256').update(url.href).digest('hex')}.release`)
  }

  private indexPath(hex: string): string {
    return join(this.directory, `${hex}.index`)
  }

  private async begin(path: string): Promise<Incoming> {
    await mkdir(this.directory, { recursive: true, mode: 0o755 })
    const partial = `${path}.${randomBytes(6).toString('hex')}.part`
    return new Incoming(path, partial, await open(partial, 'wx', 0o644))
  }

  /** Parts that a killed run has left are as old as any other some day. */
  private async dropOld(): Promise<void> {
    const before = Date.now() - keepMs
    for (const name of await readdir(this.directory)) {
      const path = join(this.directory, name)
      const facts = await stat(path).catch(missing)
      if (facts !== undefined && facts.mtimeMs < before) await rm(path, { force: true })
    }
  }
}

/** A file of the cache that is not whole yet. Without room for it nothing is kept, which costs only time later. */
export class Incoming {
  private readonly path: string
  private readonly partial: string
  private file: FileHandle | undefined

  constructor(path: string, partial: string, file: FileHandle) {
    this.path = path
    this.partial = partial
    this.file = file
  }

  async write(chunk: Uint8Array): Promise<void> {
    try {
      await this.file?.writeFile(chunk)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
      await this.drop()
    }
  }

  /** It is whole and what it should be. */
  async keep(): Promise<void> {
    if (this.file === undefined) return
    await this.file.close()
    this.file = undefined
    await rename(this.partial, this.path)
  }

  /** Gives it up; nothing happens when it has been kept. */
  async drop(): Promise<void> {
    if (this.file === undefined) return
    await this.file.close()
    this.file = undefined
    await rm(this.partial, { force: true })
  }
}

/** For what has to come from the cache and is not there. */
export function notCached(what: string, url: URL): NspawnError {
  return new NspawnError(`${what} is not in the cache`, {
    code: 'NOT_CACHED',
    operation: 'read cache',
    subject: withoutSecrets(url),
    hint: 'make the same tree once without --offline, which fills the cache',
  })
}
