/**
 * Where an export goes: a file that gets its name when it is whole, a named pipe, or standard output.
 */
import {
  constants,
  createWriteStream,
  fstatSync,
  openSync,
  realpathSync,
  renameSync,
  statSync,
  type Stats,
} from 'node:fs'
import { Socket } from 'node:net'
import { basename, dirname, resolve } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError, throwIfCanceled, usageError } from '../../errors.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../../images/hidden-tree.ts'
import type { LogSink } from '../../log.ts'
import { syncDirectory } from '../../sync-directory.ts'
import { seekTo } from '../../sys/data-ranges.ts'
import { SparseFile } from '../disk/sparse-file.ts'
import { isStandard, openFileState, unusable } from './open-file.ts'

export interface LocalOutput {
  /** For messages: the path as it was given, or `standard output`. */
  readonly name: string
  /** Empty, so that it may share blocks and have holes; undefined for streams and files that are added to. */
  readonly file: SparseFile | undefined
  /**
   * Writes everything, to its end.
   *
   * @throws NspawnError `EPIPE` when the reader has gone, `ENOSPC`, `CANCELED`; what `chunks` throws
   */
  write(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** Gives a new file its name, in place of the file that has it. Does nothing for others. */
  publish(): Promise<void>
}

/**
 * Opens what is exported to. What was not published goes away with the stack; what a killed run left there goes now.
 *
 * @param path `-`, `/dev/stdout` or nothing for standard output
 * @throws NspawnError `USAGE` for anything but regular files, pipes and sockets; `ENOENT`, `EACCES`, `CANCELED`
 */
export async function openOutput(
  path: string | undefined,
  cleanup: CleanupStack,
  log: LogSink,
  signal: AbortSignal,
): Promise<LocalOutput> {
  if (path === undefined || isStandard(path, 'stdout')) return openStandardOutput(cleanup)
  const facts = statOf(path)
  if (facts === undefined || facts.isFile()) return newFile(path, facts, cleanup, log)
  if (facts.isDirectory()) throw usageError(`${path} is a directory`, 'give the name of a file')
  if (!facts.isFIFO()) throw usageError(`${path} is neither a file nor a pipe`)
  return streamTo(pipeEnd(await openPipe(path, signal)), path, cleanup)
}

/** Where an export to `path` makes hidden things: one directory, or none for streams. */
export function outputDirectories(path: string | undefined): string[] {
  if (path === undefined || isStandard(path, 'stdout')) return []
  const facts = statOf(path)
  return facts === undefined || facts.isFile() ? [dirname(newFileTarget(path, facts))] : []
}

/** A link stays, and what it leads to is replaced. */
function newFileTarget(path: string, facts: Stats | undefined): string {
  return facts === undefined ? resolve(path) : realpathSync(path)
}

function openWriting(path: string, name: string): number {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    throw cannotWrite(name, error)
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw unusable(`cannot write ${path}`, error)
  }
}

function newFile(
  path: string,
  facts: Stats | undefined,
  cleanup: CleanupStack,
  log: LogSink,
): LocalOutput {
  try {
    const target = newFileTarget(path, facts)
    const directory = dirname(target)
    removeStaleHiddenTrees(directory, log)
    const hidden = claimHiddenTree(directory, basename(target))
    cleanup.defer(`unfinished ${path}`, () => hidden.remove())
    const file = SparseFile.create(hidden.path, { mode: 0o666, name: path })
    cleanup.defer(path, () => file[Symbol.dispose]())
    return {
      ...emptyFile(file, path),
      publish: async () => {
        file.sync()
        renameSync(hidden.path, target)
        await syncDirectory(directory)
      },
    }
  } catch (error) {
    throw unusable(`cannot write ${path}`, error)
  }
}

function emptyFile(file: SparseFile, name: string): LocalOutput {
  return {
    name,
    file,
    write: async (chunks, signal) => {
      for await (const chunk of chunks) {
        throwIfCanceled(signal, 'exporting')
        file.write(chunk)
      }
      throwIfCanceled(signal, 'exporting')
      file.finish()
    },
    publish: () => Promise.resolve(),
  }
}

const PATIENCE_MS = 20

/** Waits for the reader of a named pipe, so that a signal still ends it. */
async function openPipe(path: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    try {
      return openWriting(path, path)
    } catch (error) {
      if ((error as NspawnError).code !== 'ENXIO') throw error
    }
    await sleep(PATIENCE_MS)
    throwIfCanceled(signal, 'exporting')
  }
}

function openStandardOutput(cleanup: CleanupStack): LocalOutput {
  const name = 'standard output'
  const facts = fstatSync(1)
  if (facts.isFile()) {
    const { offset, appends } = openFileState(1)
    if (facts.size === 0 && offset === 0 && !appends) {
      const file = SparseFile.of(1, name)
      // The next program that writes there shall go on behind it.
      return { ...emptyFile(file, name), publish: async () => seekTo(1, file.length) }
    }
    return streamTo(createWriteStream('', { fd: 1, autoClose: false }), name, cleanup)
  }
  if (facts.isSocket()) return streamTo(pipeEnd(1), name, cleanup)
  if (!facts.isFIFO())
    throw usageError(`${name} is neither a file nor a pipe`, 'give a file, or pipe it somewhere')
  // Opened anew, so that those who share the pipe's end with us do not find that it no longer waits.
  return streamTo(pipeEnd(openWriting('/proc/self/fd/1', name)), name, cleanup)
}

/** Through epoll, not in a thread: a thread that waits for a reader would keep the process from ending. */
function pipeEnd(fd: number): Writable {
  return new Socket({ fd, readable: false, writable: true })
}

function streamTo(stream: Writable, name: string, cleanup: CleanupStack): LocalOutput {
  cleanup.defer(name, () => void stream.destroy())
  return {
    name,
    file: undefined,
    write: async (chunks, signal) => {
      let failure: unknown
      const watched = async function* () {
        try {
          yield* chunks
        } catch (error) {
          failure = error
          throw error
        }
      }
      try {
        await pipeline(watched, stream, { signal })
      } catch (error) {
        throwIfCanceled(signal, 'exporting')
        throw failure ?? cannotWrite(name, error)
      }
    },
    publish: () => Promise.resolve(),
  }
}

function cannotWrite(name: string, error: unknown): unknown {
  if (error instanceof NspawnError) return error
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
  const hint = code === 'EPIPE' || code === 'ENXIO' ? 'nobody reads from it any more' : undefined
  return new NspawnError(`cannot write ${name}`, { code, operation: 'write', hint })
}
