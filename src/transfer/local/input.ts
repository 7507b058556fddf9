/** What is imported: a file, a named pipe, or standard input. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { NspawnError, throwIfCanceled, usageError } from '../../errors.ts'
import { isStandard, openFileState, unusable } from './open-file.ts'
import { readChunks } from './read-chunks.ts'

export interface LocalInput extends Disposable {
  /** For messages: the path as it was given, or `standard input`. */
  readonly name: string
  /** A regular file from its beginning: it can be read anywhere, and its blocks shared. Undefined for streams. */
  readonly file: { readonly fd: number; readonly bytes: number } | undefined
  /** How much there is to read; undefined for pipes. */
  readonly totalBytes: number | undefined
  /**
   * The contents, once.
   *
   * @param read told how much has been read so far
   * @throws (while read) NspawnError `CANCELED` when the signal has come, or what read(2) says
   */
  chunks(signal: AbortSignal, read?: (bytes: number) => void): AsyncIterable<Uint8Array>
}

/**
 * Opens what is to be imported.
 *
 * @param path `-`, `/dev/stdin` or nothing for standard input
 * @throws NspawnError `USAGE` for anything that is neither a regular file nor a pipe or socket; `ENOENT`, `EACCES`
 */
export function openInput(path: string): LocalInput {
  const standard = isStandard(path, 'stdin')
  const name = standard ? 'standard input' : path
  const fd = standard ? 0 : open(path)
  const close = () => {
    if (!standard) closeSync(fd)
  }
  const facts = fstatSync(fd)
  if (facts.isFile()) {
    const left = facts.size - openFileState(fd).offset
    return {
      name,
      file: left === facts.size ? { fd, bytes: facts.size } : undefined,
      totalBytes: left,
      chunks: (signal, read) => counted(readChunks(fd, 'here'), name, signal, read),
      [Symbol.dispose]: close,
    }
  }
  if (!facts.isFIFO() && !facts.isSocket()) {
    close()
    if (facts.isDirectory())
      throw usageError(`${name} is a directory`, '"tsnspawn-build import-fs" imports directories')
    throw usageError(
      `${name} is neither a file nor a pipe`,
      standard ? 'give a file, or pipe something into it' : undefined,
    )
  }
  // Through epoll, not in a thread: a thread that waits for a writer would keep the process from ending.
  const socket = new Socket({ fd, readable: true, writable: false })
  return {
    name,
    file: undefined,
    totalBytes: undefined,
    chunks: (signal, read) => counted(addAbortSignal(signal, socket), name, signal, read),
    [Symbol.dispose]: () => void socket.destroy(),
  }
}

/** A pipe without a writer yet must not hold everything up. */
function open(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch (error) {
    throw unusable(`cannot read ${path}`, error)
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  signal: AbortSignal,
  read: ((bytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array> {
  let bytes = 0
  try {
    for await (const chunk of chunks) {
      throwIfCanceled(signal, 'reading')
      bytes += chunk.length
      read?.(bytes)
      yield chunk
    }
  } catch (error) {
    throwIfCanceled(signal, 'reading')
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
    throw new NspawnError(`cannot read ${name}`, { code, operation: 'read', subject: name })
  }
}
