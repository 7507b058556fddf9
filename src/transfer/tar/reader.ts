/**
 * A tar archive as entries and their data. Chunks of any size are pushed in, and nothing is waited for, so a
 * chunk's entries cost no turn of the event loop each; the header layer is our own (see header.ts for why).
 */
import type { TimeOfInode } from '../../sys/statx.ts'
import { takeRecords, type Extension, type PaxSparse } from './extension.ts'
import { badArchive, BLOCK, numberAt, readHeader, textAt, type RawHeader } from './header.ts'
import { readPaxRecords } from './pax.ts'
import { addOldPieces, badSparse, checkedMap, LeadingMap, type SparseMap } from './sparse.ts'

export type TarEntryType =
  | 'file'
  | 'hard link'
  | 'symlink'
  | 'character device'
  | 'block device'
  | 'directory'
  | 'fifo'

/** Strings have one character for each byte. */
export interface TarEntry {
  readonly type: TarEntryType
  readonly path: string
  /** What a hard link or a symlink points to. */
  readonly link: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of data that follow in the archive. */
  readonly stored: number
  readonly modified: TimeOfInode
  readonly accessed: TimeOfInode | undefined
  readonly major: number
  readonly minor: number
  /** By name; undefined where there are none. */
  readonly xattrs: ReadonlyMap<string, Buffer> | undefined
  /** ACLs in acl(5)'s text form. */
  readonly aclAccess: string | undefined
  readonly aclDefault: string | undefined
  readonly sparse: SparseMap | undefined
}

/** What happens to the entries. The bytes of `data()` are only valid during the call. */
export interface TarSink {
  begin(entry: TarEntry): void
  data(bytes: Uint8Array): void
  end(): void
}

export interface TarReaderOptions {
  /** Whether the archive may stop without its end mark, because something else vouches for its length. */
  readonly end: 'required' | 'optional'
  readonly warn: (text: string) => void
}

/** Extended headers and long names of one entry are held in memory; none needs more. */
const EXTENSION_MAX = 1 << 20

const types: Readonly<Record<string, TarEntryType>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hard link',
  '2': 'symlink',
  '3': 'character device',
  '4': 'block device',
  '5': 'directory',
  D: 'directory',
  '6': 'fifo',
}

type State =
  | { readonly in: 'header' }
  | { readonly in: 'data' }
  | { readonly in: 'padding' }
  | { readonly in: 'extension'; readonly flag: string; readonly bytes: Buffer; filled: number }
  | {
      readonly in: 'old map'
      readonly header: RawHeader
      readonly size: number
      segments: number[]
    }
  | { readonly in: 'leading map'; readonly header: RawHeader; readonly map: LeadingMap }
  | { readonly in: 'garbage' }

const atHeader: State = { in: 'header' }
const inData: State = { in: 'data' }
const inPadding: State = { in: 'padding' }

export class TarReader {
  private readonly sink: TarSink
  private readonly options: TarReaderOptions
  private state: State = atHeader
  /** Bytes of data, then of padding, that are still to come. */
  private left = 0
  private padding = 0
  /** The beginning of a block whose end is in the next chunk. */
  private readonly partial = Buffer.alloc(BLOCK)
  private partialLength = 0
  private sawEntry = false
  /** Of extended headers and long names since the last entry. */
  private extensionBytes = 0
  /** Blocks of zeros since the last entry. */
  private zeros = 0
  private readonly global: Extension = {}
  private globalSaysNothing = true
  private next: Extension = {}
  private longPath: string | undefined
  private longLink: string | undefined
  /** What all extended headers say of the entry that is being read, and its name. */
  private merged: Extension = {}
  private current: string | undefined

  constructor(sink: TarSink, options: TarReaderOptions) {
    this.sink = sink
    this.options = options
  }

  /** @throws NspawnError `BAD_ARCHIVE`; what the sink throws */
  push(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    let at = 0
    while (at < chunk.length) {
      const { state } = this
      if (state === inData) {
        const length = Math.min(this.left, chunk.length - at)
        this.sink.data(
          at === 0 && length === chunk.length ? chunk : chunk.subarray(at, at + length),
        )
        at += length
        this.left -= length
        if (this.left === 0) this.endEntry()
      } else if (state === inPadding) {
        const length = Math.min(this.padding, chunk.length - at)
        at += length
        this.padding -= length
        if (this.padding === 0) this.state = atHeader
      } else if (state.in === 'extension') {
        const length = Math.min(state.bytes.length - state.filled, chunk.length - at)
        state.bytes.set(chunk.subarray(at, at + length), state.filled)
        at += length
        state.filled += length
        if (state.filled === state.bytes.length) this.takeExtension(state.flag, state.bytes)
      } else if (this.partialLength === 0 && chunk.length - at >= BLOCK) {
        this.takeBlock(chunk.subarray(at, at + BLOCK))
        at += BLOCK
      } else {
        const length = Math.min(BLOCK - this.partialLength, chunk.length - at)
        this.partial.set(chunk.subarray(at, at + length), this.partialLength)
        at += length
        this.partialLength += length
        if (this.partialLength === BLOCK) {
          this.partialLength = 0
          this.takeBlock(this.partial)
        }
      }
    }
  }

  /** @throws NspawnError `TRUNCATED_ARCHIVE` when there should be more */
  finish(): void {
    if (this.state.in === 'garbage') return
    const between = this.state === atHeader && !this.isExtended()
    const ended = this.zeros > 0 || (this.options.end === 'optional' && this.partialLength === 0)
    if (between && ended && (this.sawEntry || this.zeros > 0)) return
    if (!this.sawEntry && this.current === undefined && this.zeros === 0 && between) {
      throw badArchive('it is empty, or too short to be one', undefined)
    }
    throw badArchive('it stops in the middle', this.current, 'TRUNCATED_ARCHIVE')
  }

  private isExtended(): boolean {
    return (
      this.longPath !== undefined ||
      this.longLink !== undefined ||
      Object.keys(this.next).length > 0
    )
  }

  private takeBlock(block: Buffer): void {
    const { state } = this
    switch (state.in) {
      case 'old map':
        addOldPieces(state.segments, block, 0, 21, this.entryName())
        if (block[504] === 0) this.beginOldSparse(state.header, state.size, state.segments)
        return
      case 'leading map':
        this.left -= BLOCK
        if (this.left < 0) throw badSparse(this.entryName())
        if (state.map.add(block)) this.beginLeadingSparse(state.header, state.map)
        return
      case 'garbage':
        if (isHeader(block)) throw badArchive('there is a damaged header after its end', undefined)
        return
      case 'header':
        return this.takeHeader(block)
      case 'data':
      case 'padding':
      case 'extension':
        throw new Error('these are not read by blocks')
    }
  }

  private takeHeader(block: Buffer): void {
    const header = readHeader(block)
    if (header === 'zeros') {
      // Archives that were put one behind the other have such blocks in between.
      if (this.isExtended()) throw badArchive('an extended header belongs to no entry', undefined)
      this.zeros++
      return
    }
    if (header === undefined) return this.takeNoHeader()
    this.zeros = 0
    const { flag, size } = header
    if (size < 0) throw badArchive('its size is negative', header.path)
    switch (flag) {
      case 'x':
      case 'X':
      case 'g':
      case 'L':
      case 'K':
        return this.awaitExtension(header)
      case 'V':
        this.left = 0
        this.padding = wholeBlocks(size)
        this.state = this.padding === 0 ? atHeader : inPadding
        return
      default:
        return this.takeEntry(header, block)
    }
  }

  private takeNoHeader(): void {
    if (this.zeros === 0 || this.isExtended()) {
      throw this.sawEntry || this.isExtended()
        ? badArchive('the header after this entry is damaged', this.current)
        : badArchive('this is no tar archive', undefined)
    }
    this.options.warn('ignoring what follows the end of the archive')
    this.state = { in: 'garbage' }
  }

  private awaitExtension({ flag, size, path }: RawHeader): void {
    this.extensionBytes += size
    if (this.extensionBytes > EXTENSION_MAX) {
      throw badArchive(`extended headers of ${this.extensionBytes} bytes`, path)
    }
    if (size === 0) return
    this.state = { in: 'extension', flag, bytes: Buffer.alloc(size), filled: 0 }
  }

  private takeExtension(flag: string, bytes: Buffer): void {
    this.padding = wholeBlocks(bytes.length) - bytes.length
    this.state = this.padding === 0 ? atHeader : inPadding
    if (flag === 'L') this.longPath = textAt(bytes, 0, bytes.length)
    else if (flag === 'K') this.longLink = textAt(bytes, 0, bytes.length)
    else if (flag === 'g') this.takeGlobal(bytes)
    else takeRecords(this.next, readPaxRecords(bytes), 'next')
  }

  private takeGlobal(bytes: Buffer): void {
    takeRecords(this.global, readPaxRecords(bytes), 'global')
    this.globalSaysNothing = Object.keys(this.global).length === 0
  }

  private takeEntry(header: RawHeader, block: Buffer): void {
    this.sawEntry = true
    this.extensionBytes = 0
    const extension = this.globalSaysNothing ? this.next : { ...this.global, ...this.next }
    header.path = extension.sparse?.path ?? extension.path ?? this.longPath ?? header.path
    header.link = extension.link ?? this.longLink ?? header.link
    this.current = header.path
    this.merged = extension
    this.next = {}
    this.longPath = undefined
    this.longLink = undefined
    const type = types[header.flag]
    if (type === undefined) {
      throw badArchive(`its type ${JSON.stringify(header.flag)} is unknown`, header.path)
    }
    // Only files have data, whatever the size field says; POSIX lets extended headers give some to hard links.
    const sized = type === 'file' || header.flag === 'D'
    this.left = sized
      ? (extension.size ?? header.size)
      : type === 'hard link'
        ? (extension.size ?? 0)
        : 0
    this.padding = wholeBlocks(this.left) - this.left
    if (header.flag === 'S') return this.startOldSparse(header, block)
    const pax = extension.sparse
    if (pax !== undefined && type === 'file') return this.startPaxSparse(header, pax)
    const old = type === 'file' && header.path.endsWith('/')
    this.begin(header, old ? 'directory' : type, undefined)
  }

  private entryName(): string {
    return this.current ?? ''
  }

  private startOldSparse(header: RawHeader, block: Buffer): void {
    const size = numberAt(block, 483, 12)
    if (size === undefined || size < 0) throw badSparse(header.path)
    const segments: number[] = []
    addOldPieces(segments, block, 386, 4, header.path)
    if (block[482] === 0) return this.beginOldSparse(header, size, segments)
    this.state = { in: 'old map', header, size, segments }
  }

  private beginOldSparse(header: RawHeader, size: number, segments: number[]): void {
    this.begin(header, 'file', checkedMap(size, segments, this.left, header.path))
  }

  private startPaxSparse(header: RawHeader, pax: PaxSparse): void {
    if (pax.size === undefined) throw badSparse(header.path)
    if (pax.major === undefined) {
      const map = checkedMap(pax.size, pax.segments, this.left, header.path)
      return this.begin(header, 'file', map)
    }
    if (pax.major !== 1 || this.left < BLOCK) throw badSparse(header.path)
    this.state = { in: 'leading map', header, map: new LeadingMap(header.path) }
  }

  private beginLeadingSparse(header: RawHeader, map: LeadingMap): void {
    const size = this.merged.sparse?.size ?? 0
    this.begin(header, 'file', checkedMap(size, map.segments, this.left, header.path))
  }

  private begin(header: RawHeader, type: TarEntryType, sparse: SparseMap | undefined): void {
    const { merged } = this
    this.sink.begin({
      type,
      path: header.path,
      link: header.link,
      mode: header.mode,
      uid: merged.uid ?? header.uid,
      gid: merged.gid ?? header.gid,
      stored: type === 'directory' ? 0 : this.left,
      modified: merged.modified ?? { seconds: BigInt(header.modifiedSeconds), nanoseconds: 0 },
      accessed: merged.accessed,
      major: merged.major ?? header.major,
      minor: merged.minor ?? header.minor,
      xattrs: merged.xattrs,
      aclAccess: merged.aclAccess,
      aclDefault: merged.aclDefault,
      sparse,
    })
    // A directory of an incremental archive carries a list of names, and an old one may claim a size.
    if (type === 'directory') {
      this.padding += this.left
      this.left = 0
    }
    if (this.left === 0) this.endEntry()
    else this.state = inData
  }

  private endEntry(): void {
    this.sink.end()
    this.state = this.padding === 0 ? atHeader : inPadding
  }
}

const wholeBlocks = (size: number): number => Math.ceil(size / BLOCK) * BLOCK

function isHeader(block: Buffer): boolean {
  try {
    return typeof readHeader(block) === 'object' && textAt(block, 257, 5) === 'ustar'
  } catch {
    return true
  }
}
