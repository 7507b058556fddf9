/**
 * Source files that were fetched once, under their digests: whoever knows the digest of a file may have it,
 * and nobody can put another one in its place. Files that a PKGBUILD gives no strong digest of are not kept,
 * nor are repositories.
 */
import { randomBytes } from 'node:crypto'
import { chown, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import { linkOrCopy } from '../../link-or-copy.ts'
import { missing } from '../../read-if-there.ts'
import { buildUserId } from '../places.ts'
import { ResultDirectory } from '../results.ts'
import { sourcesDirectory } from './places.ts'
import type { PackageSource, SourceDigest } from './source-info.ts'

/** A file that no build has asked for in this long is dropped. */
const keepMs = 60 * 24 * 3600 * 1000

export class SourceCache {
  private readonly directory: string

  /** @param directory absolute; made when missing */
  constructor(directory: string) {
    this.directory = directory
  }

  /**
   * Puts those of `sources` that are kept into a directory.
   *
   * @param destination absolute, of a layer that is only read
   * @returns the names of those that were put there
   */
  async lend(
    sources: readonly PackageSource[],
    destination: string,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlySet<string>> {
    const lent = new Set<string>()
    for (const { name, digest } of keepable(sources)) {
      const place = join(this.directory, fileName(digest))
      const found = await hashFile(place, signal, digest.algorithm).catch(missing)
      if (found === undefined || lent.has(name)) continue
      if (found !== digest.value) {
        await rm(place, { force: true })
        continue
      }
      const now = new Date()
      await utimes(place, now, now).catch(missing)
      await linkOrCopy(place, join(destination, name))
      lent.add(name)
    }
    return lent
  }

  /** Keeps those of `sources` that makepkg has put into the layer at `upper`, and drops what is old. */
  async keep(
    sources: readonly PackageSource[],
    upper: string,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    // A user of the host with the build user's number has no business there.
    await mkdir(this.directory, { recursive: true, mode: 0o700 })
    await using fetched = await ResultDirectory.open(upper, sourcesDirectory)
    const names = new Set(await fetched.names())
    for (const { name, digest } of keepable(sources)) {
      if (!names.has(name)) continue
      const incoming = join(this.directory, `.${randomBytes(6).toString('hex')}.part`)
      try {
        await fetched.copy(name, incoming, signal)
        if ((await hashFile(incoming, signal, digest.algorithm)) !== digest.value) continue
        // As those that makepkg has just fetched: a PKGBUILD may write to its sources.
        await chown(incoming, buildUserId, buildUserId)
        await rename(incoming, join(this.directory, fileName(digest)))
      } catch (error) {
        // A link or a directory of that name is no source of ours.
        if (!(error instanceof NspawnError) || error.code !== 'BUILD_RESULTS') throw error
      } finally {
        await rm(incoming, { force: true })
      }
    }
    await this.dropOld()
  }

  private async dropOld(): Promise<void> {
    const before = Date.now() - keepMs
    for (const name of await readdir(this.directory)) {
      const path = join(this.directory, name)
      const facts = await stat(path).catch(missing)
      if (facts !== undefined && facts.mtimeMs < before) await rm(path, { force: true })
    }
  }
}

type KeepableSource = PackageSource & { readonly digest: SourceDigest }

function keepable(sources: readonly PackageSource[]): readonly KeepableSource[] {
  return sources.filter(
    (source): source is KeepableSource =>
      source.kind === 'file' && source.digest !== undefined && isFileName(source.name),
  )
}

function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && name.length < 256
}

function fileName({ algorithm, value }: SourceDigest): string {
  return `${algorithm}-${value}`
}
