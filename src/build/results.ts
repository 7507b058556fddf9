/**
 * Takes results out of a finished build. What lies there was made by code that nobody vouches for:
 * only plain regular files that a checked list names are taken, no link is followed on the way, and
 * the output directory sees complete, verified files or nothing.
 */
import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import {
  chown,
  lstat,
  stat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  type FileHandle,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { missing } from '../read-if-there.ts'
import { isLeftBehind, ownOwner } from '../owner.ts'

export interface ResultFile {
  /** Relative to the output directory; only results of commands lie in directories of their own. */
  readonly name: string
  readonly sizeBytes: number
  readonly sha256: string
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

const { O_RDONLY, O_NOFOLLOW, O_DIRECTORY, O_NONBLOCK, O_WRONLY, O_CREAT, O_EXCL } = constants

/** A directory of a finished build, opened without following any link; close it after use. */
export class ResultDirectory implements AsyncDisposable {
  private readonly handle: FileHandle

  private constructor(handle: FileHandle) {
    this.handle = handle
  }

  /**
   * Opens `path` beneath `root`, part by part.
   *
   * @throws NspawnError `BUILD_RESULTS` when a part is missing or no directory
   */
  static async open(root: string, path: string): Promise<ResultDirectory> {
    let handle = await open(root, O_RDONLY | O_DIRECTORY)
    for (const part of path.split('/').filter((one) => one !== '')) {
      const outer = handle
      try {
        handle = await openBelow(outer, part, O_RDONLY | O_DIRECTORY)
      } finally {
        await outer.close()
      }
    }
    return new ResultDirectory(handle)
  }

  /** The same; `undefined` when a part is missing: the build wrote nothing there. */
  static async openIfThere(root: string, path: string): Promise<ResultDirectory | undefined> {
    try {
      return await ResultDirectory.open(root, path)
    } catch (error) {
      const { cause } = error as { cause?: NodeJS.ErrnoException }
      if (cause?.code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Opens a directory in it. */
  async enter(name: string): Promise<ResultDirectory> {
    return new ResultDirectory(await openBelow(this.handle, name, O_RDONLY | O_DIRECTORY))
  }

  /** What lies there under a name; `removed` is overlay's mark for what the build has deleted. */
  async kindOf(name: string): Promise<'file' | 'directory' | 'removed' | 'other'> {
    // A name that is no UTF-8 is not found again.
    const facts = await lstat(`/proc/self/fd/${this.handle.fd}/${name}`).catch(missing)
    if (facts === undefined) return 'other'
    if (facts.isFile()) return 'file'
    if (facts.isDirectory()) return 'directory'
    return facts.isCharacterDevice() && facts.rdev === 0 ? 'removed' : 'other'
  }

  async names(): Promise<readonly string[]> {
    return (await readdir(`/proc/self/fd/${this.handle.fd}`)).toSorted()
  }

  /**
   * Reads a small file whole.
   *
   * @throws NspawnError `BUILD_RESULTS` when it is no regular file or larger than `maxBytes`
   */
  async readText(name: string, maxBytes: number): Promise<string> {
    const { file, facts } = await this.openFile(name)
    try {
      if (facts.size > maxBytes) throw bad(`it is larger than ${maxBytes} bytes`, name)
      return await file.readFile('utf8')
    } finally {
      await file.close()
    }
  }

  /**
   * Copies a file to `destination`, which must not exist, hashing what is written.
   *
   * @throws NspawnError `BUILD_RESULTS` when it is no regular file; an errno name for the disk's failures;
   *   `CANCELED`, with half a file left to the caller
   */
  async copy(name: string, destination: string, signal?: AbortSignal): Promise<ResultFile> {
    const { file, facts } = await this.openFile(name)
    try {
      const target = await open(destination, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
      try {
        // Nothing else of a mode counts: neither set-uid nor who else may write.
        await target.chmod((facts.mode & 0o100) === 0 ? 0o644 : 0o755)
        const hash = createHash('sha256')
        let sizeBytes = 0
        for await (const chunk of file.createReadStream({
          autoClose: false,
        }) as AsyncIterable<Buffer>) {
          throwIfCanceled(signal, 'copying the results')
          hash.update(chunk)
          sizeBytes += chunk.length
          await target.writeFile(chunk)
        }
        return { name, sizeBytes, sha256: hash.digest('hex') }
      } finally {
        await target.close()
      }
    } finally {
      await file.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close()
  }

  private async openFile(name: string): Promise<{ file: FileHandle; facts: Stats }> {
    if (name.includes('/')) throw bad('not a plain file name', name)
    // Non-blocking: opening a fifo must not wait for its writer.
    const file = await openBelow(this.handle, name, O_RDONLY | O_NONBLOCK)
    const facts = await file.stat()
    if (facts.isFile()) return { file, facts }
    await file.close()
    throw bad('it is no regular file', name)
  }
}

async function openBelow(directory: FileHandle, name: string, flags: number): Promise<FileHandle> {
  try {
    return await open(`/proc/self/fd/${directory.fd}/${name}`, flags | O_NOFOLLOW)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') throw bad('it is not there', name, error)
    if (code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENXIO')
      throw bad('it is no regular file or directory', name)
    throw error
  }
}

/**
 * Makes the output directory where it is missing; a new one belongs to `owner`.
 *
 * @returns the directories that were missing, outermost first
 * @throws NspawnError `INVALID_OUTPUT` when it cannot be one
 */
export async function prepareOutputDirectory(
  path: string,
  owner: Owner | undefined,
): Promise<readonly string[]> {
  try {
    const made = await makeDirectories(path)
    if (owner !== undefined) for (const one of made) await chown(one, owner.uid, owner.gid)
    return made
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    const full = code === 'ENOSPC' || code === 'EDQUOT'
    throw new NspawnError(`cannot make the output directory${full ? '' : ` (${code})`}`, {
      code: full ? code : 'INVALID_OUTPUT',
      operation: 'mkdir',
      subject: path,
      hint: 'name a directory with --output',
    })
  }
}

/**
 * Makes the directory and those above it; returns what was missing. Node's own recursive mkdir never
 * ends where the kernel answers ENOENT below a directory that is there, as in /proc.
 */
async function makeDirectories(path: string): Promise<readonly string[]> {
  if ((await stat(path).catch(missing))?.isDirectory() === true) return []
  const above = dirname(path) === path ? [] : await makeDirectories(dirname(path))
  await mkdir(path)
  return [...above, path]
}

/** Finished files of one directory. */
export interface FinishedFiles {
  /** Absolute. */
  readonly directory: string
  readonly names: readonly string[]
}

/**
 * Publishes finished files: each is copied under a hidden name first, and only when all are there do
 * they get their names, replacing older ones.
 *
 * @param to absolute; an existing directory
 * @param signal heeded until the first file gets its name
 * @returns their absolute paths in `to`, in the order given
 */
export async function publishFiles(
  sources: readonly FinishedFiles[],
  to: string,
  owner: Owner | undefined,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  await removeStaleParts(to)
  const names = sources.flatMap((source) => source.names)
  const own = ownOwner()
  const hidden = (name: string) => join(to, `.#${name.replaceAll('/', '#')}.${own}.part`)
  try {
    for (const { directory, names: here } of sources) {
      for (const name of here) {
        await using source = await ResultDirectory.open(directory, dirname(name))
        await rm(hidden(name), { force: true })
        await source.copy(basename(name), hidden(name), signal)
        if (owner !== undefined) await chown(hidden(name), owner.uid, owner.gid)
      }
    }
    throwIfCanceled(signal, 'copying the results')
    for (const directory of new Set(names.map(dirname)))
      await prepareOutputDirectory(join(to, directory), owner)
    for (const name of names) await rename(hidden(name), join(to, name))
    return names.map((name) => join(to, name))
  } catch (error) {
    for (const name of names) await rm(hidden(name), { force: true })
    throw error
  }
}

/** Removes what runs that were killed left half copied. */
async function removeStaleParts(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (isLeftBehind(name, /^\.#.+\.(\d+-\d+)\.part$/))
      await rm(join(directory, name), { force: true })
  }
}

function bad(why: string, subject: string, cause?: unknown): NspawnError {
  return new NspawnError(`cannot take a result: ${why}`, {
    code: 'BUILD_RESULTS',
    operation: 'collect results',
    subject,
    cause,
  })
}
