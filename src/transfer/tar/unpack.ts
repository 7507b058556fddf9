/** A tar archive becomes a tree. The archive is hostile: it is checked as it comes, and can harm only the tree. */
import { closeSync, constants, openSync } from 'node:fs'
import { throwIfCanceled } from '../../errors.ts'
import { silent, type LogSink } from '../../log.ts'
import { Turns } from '../../turns.ts'
import { badArchive } from './header.ts'
import { TarReader } from './reader.ts'
import { TreeWriter } from './tree-writer.ts'

export interface UnpackOptions {
  /** Added to all owners and groups, ACLs and capabilities included: the base of a range of 65536 ids. */
  readonly idShift?: number | undefined
  readonly limits?:
    | {
        /** Of the plain archive, in bytes. */
        readonly bytes?: number | undefined
        /** Default `ENTRIES_MAX`. */
        readonly entries?: number | undefined
      }
    | undefined
  /** The archive is a layer on what is in the tree already, and can take things away. */
  readonly whiteouts?: 'oci' | undefined
  /**
   * `keep`: where the archive has a directory and the tree a link to one, the link stays and leads on. Default is a
   * directory in its place.
   */
  readonly directoryLinks?: 'keep' | undefined
  readonly signal?: AbortSignal | undefined
  /** Called now and then with the bytes of the plain archive that have been read. */
  readonly progress?: ((bytes: number) => void) | undefined
  readonly log?: LogSink | undefined
}

export interface Unpacked {
  readonly entries: number
  /** Contents of files that were written. */
  readonly bytes: number
}

/** Chunks are taken in pieces, so that neither time nor signals wait long for one. */
const PIECE = 1 << 20

/** No tree of an operating system has as many; a small archive could fill a disk's inode table with them. */
const ENTRIES_MAX = 1 << 24

/**
 * Unpacks a plain archive into `target`: V7, ustar, GNU and PAX forms, also several archives one behind the other.
 * Owners, modes (set-id bits included), times, extended attributes, ACLs, capabilities, devices, links and holes are
 * as in the archive. When it fails, the tree is half made and the caller's to remove.
 *
 * @param target a directory that exists, that nobody else writes to
 * @throws NspawnError `BAD_ARCHIVE`, `TRUNCATED_ARCHIVE`, `ARCHIVE_TOO_LARGE` (a limit), `CANCELED`, or an errno name, with
 *   the entry's name as subject; what `chunks` throws
 */
export async function unpackTar(
  chunks: AsyncIterable<Uint8Array>,
  target: string,
  options: UnpackOptions = {},
): Promise<Unpacked> {
  const log = options.log ?? silent
  const warn = (text: string) => log({ kind: 'warning', text })
  const bytesMax = options.limits?.bytes ?? Infinity
  const top = openSync(target, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  let writer: TreeWriter | undefined
  try {
    writer = new TreeWriter(top, {
      idShift: options.idShift,
      entriesMax: options.limits?.entries ?? ENTRIES_MAX,
      whiteouts: options.whiteouts,
      directoryLinks: options.directoryLinks,
      warn,
    })
    // A layer's digest vouches for its length, and some builders leave the end mark out.
    const end = options.whiteouts === 'oci' ? 'optional' : 'required'
    const reader = new TarReader(writer, { end, warn })
    let read = 0
    const turns = new Turns()
    for await (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += PIECE) {
        throwIfCanceled(options.signal, 'unpacking')
        const piece = chunk.length <= PIECE ? chunk : chunk.subarray(at, at + PIECE)
        read += piece.length
        if (read > bytesMax) {
          throw badArchive(`it is longer than ${bytesMax} bytes`, undefined, 'ARCHIVE_TOO_LARGE')
        }
        inEntry(writer, () => reader.push(piece))
        if (!turns.isOver) continue
        options.progress?.(read)
        await turns.next()
      }
    }
    throwIfCanceled(options.signal, 'unpacking')
    const written = writer
    inEntry(written, () => {
      reader.finish()
      written.finish()
    })
    options.progress?.(read)
    return { entries: writer.entries, bytes: writer.bytes }
  } finally {
    writer?.abandon()
    closeSync(top)
  }
}

function inEntry(writer: TreeWriter, work: () => void): void {
  try {
    work()
  } catch (error) {
    throw writer.named(error)
  }
}
