/** Lays out the files of a commit as they are in the repository, byte for byte, beneath a directory of our own. */
import { chmod, lchown, lutimes, mkdir, open, rm, symlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../../../errors.ts'
import type { GitEntry } from './listing.ts'
import type { GitCommit, GitRepository } from './repository.ts'

export interface ExportPlace {
  /** Absolute; must not exist. */
  readonly destination: string
  /** Absolute; a file that is there meanwhile. */
  readonly scratch: string
  /** User and group id of everything. */
  readonly owner: number
}

const linkLimitBytes = 4096
const pieceBytes = 1024 ** 2

/**
 * Writes the files; directories that git does not know are not there.
 *
 * @throws NspawnError `SOURCE_INVALID` when an object is missing, or the commit has what cannot be a file
 */
export async function exportCommit(
  repository: GitRepository,
  commit: GitCommit,
  { destination, scratch, owner }: ExportPlace,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entries = await repository.filesOf(commit)
  const submodules = entries.filter(({ mode }) => mode === '160000').map(({ path }) => path)
  if (submodules.length > 0)
    throw new NspawnError(`the commit has submodules: ${submodules.join(', ')}`, {
      code: 'SOURCE_INVALID',
      operation: 'read git checkout',
      subject: repository.directory,
      hint: 'check them out and give --working-tree, which takes what lies there',
    })
  const handle = await open(scratch, 'wx+', 0o600)
  try {
    await repository.writeBlobs(
      entries.map(({ object }) => object),
      handle.fd,
    )
    const tree = new OwnTree(destination, owner, commit.time)
    await tree.begin()
    const blobs = new BlobReader(handle)
    for (const entry of entries) {
      throwIfCanceled(signal, 'reading the git checkout')
      await tree.add(entry, blobs, await blobs.next(entry))
    }
    await tree.end()
  } finally {
    await handle.close()
    await rm(scratch, { force: true })
  }
}

/** The output of `git cat-file --batch`: a line with name, type and size, the content, a line break. */
class BlobReader {
  private readonly handle: FileHandle
  private position = 0

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** The size of the next blob, whose content comes now. */
  async next({ object, path }: GitEntry): Promise<number> {
    const { buffer, bytesRead } = await this.handle.read(Buffer.alloc(256), 0, 256, this.position)
    const text = buffer.subarray(0, bytesRead).toString('latin1')
    const line = text.slice(0, Math.max(text.indexOf('\n'), 0))
    const [, found, size] = /^([0-9a-f]+) blob (\d+)$/.exec(line) ?? []
    if (found !== object || size === undefined)
      throw new NspawnError(`the repository lacks what it names: ${line || object}`, {
        code: 'SOURCE_INVALID',
        operation: 'read git checkout',
        subject: path,
        hint: 'of a partial clone everything has to be fetched before',
      })
    this.position += line.length + 1
    return Number(size)
  }

  async read(sizeBytes: number): Promise<Buffer> {
    const { buffer } = await this.handle.read(Buffer.alloc(sizeBytes), 0, sizeBytes, this.position)
    this.position += sizeBytes + 1
    return buffer
  }

  async copyTo(target: FileHandle, sizeBytes: number): Promise<void> {
    const piece = Buffer.alloc(Math.min(sizeBytes, pieceBytes))
    for (let done = 0; done < sizeBytes;) {
      const wanted = Math.min(piece.length, sizeBytes - done)
      const { bytesRead } = await this.handle.read(piece, 0, wanted, this.position + done)
      if (bytesRead === 0) throw new Error('what git wrote has become shorter')
      await target.writeFile(piece.subarray(0, bytesRead))
      done += bytesRead
    }
    this.position += sizeBytes + 1
  }
}

/**
 * A tree in which every directory was made here: a commit may say that a path leads through a link, which then is in the
 * way of the directory.
 */
class OwnTree {
  private readonly top: string
  private readonly owner: number
  private readonly time: number
  private readonly directories = new Set<string>()

  constructor(top: string, owner: number, time: number) {
    this.top = top
    this.owner = owner
    this.time = time
  }

  async begin(): Promise<void> {
    await mkdir(this.top)
    this.directories.add(this.top)
  }

  async add({ mode, path }: GitEntry, blobs: BlobReader, sizeBytes: number): Promise<void> {
    const place = join(this.top, path)
    try {
      await this.makeDirectory(dirname(place))
      if (mode === '120000') {
        if (sizeBytes >= linkLimitBytes) throw impossible(path)
        await symlink((await blobs.read(sizeBytes)).toString('utf8'), place)
      } else {
        const file = await open(place, 'wx', 0o644)
        try {
          await blobs.copyTo(file, sizeBytes)
        } finally {
          await file.close()
        }
        await chmod(place, mode === '100755' ? 0o755 : 0o644)
      }
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      throw ['EEXIST', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'].includes(code)
        ? impossible(path)
        : error
    }
    await this.settle(place)
  }

  async end(): Promise<void> {
    for (const directory of [...this.directories].toReversed()) {
      await chmod(directory, 0o755)
      await this.settle(directory)
    }
  }

  private async makeDirectory(path: string): Promise<void> {
    if (this.directories.has(path)) return
    await this.makeDirectory(dirname(path))
    await mkdir(path)
    this.directories.add(path)
  }

  private async settle(path: string): Promise<void> {
    await lchown(path, this.owner, this.owner)
    await lutimes(path, this.time, this.time)
  }
}

function impossible(path: string): NspawnError {
  return new NspawnError('the commit has a file that cannot be', {
    code: 'SOURCE_INVALID',
    operation: 'read git checkout',
    subject: JSON.stringify(path),
  })
}
