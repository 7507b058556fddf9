/**
 * Which files of a checkout are not as committed. git itself would run the filters that the repository names to find
 * out; here the files are hashed as they lie.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { lstat, open, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { throwIfCanceled } from '../../../errors.ts'
import { missing } from '../../../read-if-there.ts'
import { differingPaths, type GitEntry } from './listing.ts'
import type { GitCommit, GitRepository } from './repository.ts'

/** Paths that differ between the commit, the index and the directory; sorted. */
export async function changedFiles(
  repository: GitRepository,
  commit: GitCommit,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const index = await repository.index()
  const changed = new Set(differingPaths(await repository.filesOf(commit), index))
  const look = new Directories(repository.directory)
  for (const entry of index) {
    throwIfCanceled(signal, 'reading the git checkout')
    if (entry.mode === '160000' || changed.has(entry.path)) continue
    const place = join(repository.directory, entry.path)
    if (!(await look.isPlain(dirname(place))) || (await found(place, entry)) !== entry.object)
      changed.add(entry.path)
  }
  return [...changed].toSorted()
}

/** The object that git would make of it; `undefined` when it is not of the kind that it should be. */
async function found(place: string, { mode, object }: GitEntry): Promise<string | undefined> {
  const facts = await lstat(place).catch(missing)
  if (facts === undefined) return undefined
  const digest = createHash(object.length === 64 ? 'sha256' : 'sha1')
  if (mode === '120000') {
    if (!facts.isSymbolicLink()) return undefined
    const target = await readlink(place, 'buffer')
    return digest.update(`blob ${target.length}\0`).update(target).digest('hex')
  }
  const executable = (facts.mode & 0o100) !== 0
  if (!facts.isFile() || executable !== (mode === '100755')) return undefined
  digest.update(`blob ${facts.size}\0`)
  const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  for await (const piece of file.createReadStream()) digest.update(piece as Buffer)
  return digest.digest('hex')
}

/** Remembers which directories are reached without a link. */
class Directories {
  private readonly known: Map<string, boolean>

  constructor(top: string) {
    this.known = new Map([[top, true]])
  }

  async isPlain(path: string): Promise<boolean> {
    const known = this.known.get(path)
    if (known !== undefined) return known
    const plain =
      (await this.isPlain(dirname(path))) &&
      (await lstat(path).catch(missing))?.isDirectory() === true
    this.known.set(path, plain)
    return plain
  }
}
