/**
 * Makes the entries of an archive in a tree. Whatever they say, nothing outside the tree is touched: names are
 * resolved beneath it (open-directories.ts), and what stands where an entry belongs is removed, never written through.
 */
import { closeSync, constants, ftruncateSync, writeSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { removeTreeAt } from '../../images/remove-tree.ts'
import { linkAt, makeDirectoryAt, makeNodeAt, symlinkAt, tryUnlinkAt } from '../../sys/at.ts'
import { tryOpenBelow } from '../../sys/openat2.ts'
import { sameInode, S_IFBLK, S_IFCHR, S_IFIFO, statAt } from '../../sys/statx.ts'
import { AttributeSetter } from './attributes.ts'
import { badArchive } from './header.ts'
import { shownName } from '../../shown-name.ts'
import { bytesOf, componentsOf, OpenDirectories, openBeneath } from './open-directories.ts'
import type { TarEntry, TarSink } from './reader.ts'
import { Layer, whiteoutOf } from './whiteouts.ts'

const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const asDirectory = constants.O_RDONLY | constants.O_DIRECTORY
const nodeTypes = {
  'character device': S_IFCHR,
  'block device': S_IFBLK,
  fifo: S_IFIFO,
} as const

export interface TreeWriterOptions {
  readonly idShift: number | undefined
  readonly entriesMax: number
  readonly whiteouts: 'oci' | undefined
  readonly directoryLinks: 'keep' | undefined
  readonly warn: (text: string) => void
}

/** The file whose data are coming. */
interface OpenFile {
  readonly fd: number
  readonly entry: TarEntry
  /** Index in the map of holes of the piece that is being written, and how much of it is. */
  segment: number
  filled: number
}

export class TreeWriter implements TarSink {
  entries = 0
  bytes = 0
  private readonly options: TreeWriterOptions
  private readonly directories: OpenDirectories
  private readonly attributes: AttributeSetter
  private readonly layer: Layer | undefined
  private file: OpenFile | undefined
  /** The entry that is being made, for errors of the system. */
  private current: TarEntry | undefined

  /** @param top descriptor of the tree's top directory, which stays the caller's */
  constructor(top: number, options: TreeWriterOptions) {
    this.options = options
    this.attributes = new AttributeSetter(options.idShift, options.warn)
    this.directories = new OpenDirectories(top, (fd) => this.attributes.setImplied(fd))
    if (options.whiteouts === 'oci') this.layer = new Layer(this.directories)
  }

  begin(entry: TarEntry): void {
    this.current = entry
    if (++this.entries > this.options.entriesMax) {
      throw badArchive(
        `it has more than ${this.options.entriesMax} entries`,
        undefined,
        'ARCHIVE_TOO_LARGE',
      )
    }
    if (entry.path.includes('\0') || entry.link.includes('\0')) {
      throw badArchive('its name has a zero byte', entry.path)
    }
    const whiteout = this.layer === undefined ? undefined : whiteoutOf(entry.path)
    if (whiteout !== undefined) {
      if (whiteout === 'none') return
      if (this.directories.enter(entry.path, 'stop') !== undefined) this.layer?.apply(whiteout)
      return
    }
    const name = this.directories.enter(entry.path, 'make') ?? ''
    if (name === '') return this.describeTop(entry)
    this.make(name, entry)
    this.layer?.add(name)
  }

  data(bytes: Uint8Array): void {
    const { file } = this
    if (file === undefined) return
    this.bytes += bytes.length
    if (file.entry.sparse === undefined) return writeAll(file.fd, bytes, null)
    const { segments } = file.entry.sparse
    for (let at = 0; at < bytes.length;) {
      const offset = segments[file.segment] as number
      const length = segments[file.segment + 1] as number
      const take = Math.min(length - file.filled, bytes.length - at)
      if (take > 0) writeAll(file.fd, bytes.subarray(at, at + take), offset + file.filled)
      at += take
      file.filled += take
      if (file.filled < length) continue
      file.segment += 2
      file.filled = 0
    }
  }

  end(): void {
    const { file } = this
    if (file === undefined) return
    this.file = undefined
    try {
      if (file.entry.sparse !== undefined) ftruncateSync(file.fd, file.entry.sparse.size)
      this.attributes.setOpen(file.fd, file.entry, 'new')
    } finally {
      closeSync(file.fd)
    }
  }

  /** Gives the directories that are still open what their entries say. */
  finish(): void {
    this.directories.leaveAll()
    const { top } = this.directories
    top.leave(top.fd)
  }

  /** Closes what is open. The tree stays as it is, half made. */
  abandon(): void {
    this.directories.abandon()
    if (this.file !== undefined) closeSync(this.file.fd)
    this.file = undefined
  }

  /** An error of the system as one that names the entry it came with. */
  named(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException
    if (this.current === undefined || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) {
      return error
    }
    const entry = shownName(this.current.path)
    const full = code === 'ENOSPC' || code === 'EDQUOT'
    return new NspawnError(`cannot unpack archive entry ${entry}`, {
      code,
      operation: error instanceof NspawnError ? error.operation : 'unpack',
      subject: entry,
      hint: full ? 'the file system is full: make room, then try again' : undefined,
      cause: error,
    })
  }

  private describeTop(entry: TarEntry): void {
    if (entry.type !== 'directory') throw badArchive('only a directory can be the top', entry.path)
    const { attributes } = this
    this.directories.top.leave = (fd) => attributes.setOpen(fd, entry, 'existing')
  }

  private make(name: string, entry: TarEntry): void {
    const { fd } = this.directories.current
    switch (entry.type) {
      case 'file':
        this.file = { fd: this.createFile(name, entry), entry, segment: 0, filled: 0 }
        break
      case 'directory':
        this.makeDirectory(name, entry)
        break
      case 'hard link':
        this.makeLink(name, entry)
        break
      case 'symlink':
        if (entry.link === '') throw badArchive('it is a symlink to nothing', entry.path)
        this.replacing(name, entry, () => symlinkAt(bytesOf(entry.link), fd, bytesOf(name)))
        this.attributes.setAt(fd, name, entry)
        break
      case 'character device':
      case 'block device':
      case 'fifo': {
        // Closed until the owner is set.
        const mode = nodeTypes[entry.type]
        this.replacing(name, entry, () =>
          makeNodeAt(fd, bytesOf(name), mode, entry.major, entry.minor),
        )
        this.attributes.setAt(fd, name, entry)
      }
    }
  }

  private createFile(name: string, entry: TarEntry): number {
    const { fd: directory } = this.directories.current
    const bytes = bytesOf(name)
    let fd = tryOpenBelow(directory, bytes, 'beneath', newFile, 0o600)
    if (fd === 'EEXIST') {
      this.remove(name, entry)
      fd = tryOpenBelow(directory, bytes, 'beneath', newFile, 0o600)
    }
    if (typeof fd === 'number') return fd
    throw new NspawnError('cannot make a file', { code: fd, operation: 'openat2' })
  }

  private makeDirectory(name: string, entry: TarEntry): void {
    const { fd: directory } = this.directories.current
    let is: 'new' | 'existing' = 'new'
    try {
      makeDirectoryAt(directory, bytesOf(name), 0o700)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      is = 'existing'
    }
    let fd = openBeneath(directory, name)
    if (is === 'existing' && typeof fd === 'string') {
      if (this.options.directoryLinks === 'keep' && this.directories.follow(name)) return
      this.remove(name, entry)
      makeDirectoryAt(directory, bytesOf(name), 0o700)
      fd = openBeneath(directory, name)
      is = 'new'
    }
    if (typeof fd === 'string') {
      throw new NspawnError('cannot open a directory', { code: fd, operation: 'openat2' })
    }
    const { attributes } = this
    this.directories.push(name, fd, is, (open) => attributes.setOpen(open, entry, is))
  }

  private makeLink(name: string, entry: TarEntry): void {
    const names = componentsOf(entry.link)
    const last = names.pop()
    if (last === undefined) throw badArchive('it is a link to a directory', entry.path)
    const parent = this.directories.openInTree(names.join('/'), asDirectory)
    if (typeof parent === 'string') throw badLink(entry)
    try {
      this.linkTo(parent, last, name, entry)
    } finally {
      closeSync(parent)
    }
  }

  private linkTo(parent: number, target: string, name: string, entry: TarEntry): void {
    const { fd: directory } = this.directories.current
    const link = () => linkAt(parent, bytesOf(target), directory, bytesOf(name))
    try {
      link()
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ENOENT') throw badLink(entry)
      if (code === 'EPERM')
        throw badArchive(`it cannot be a link to ${shownName(entry.link)}`, entry.path)
      if (code !== 'EEXIST') throw error
      if (sameInode(statAt(parent, bytesOf(target)), statAt(directory, bytesOf(name)))) return
      this.remove(name, entry)
      link()
    }
  }

  private replacing(name: string, entry: TarEntry, make: () => void): void {
    try {
      make()
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      this.remove(name, entry)
      make()
    }
  }

  /** Makes room for an entry. Only a layer takes the place of a directory that is not empty. */
  private remove(name: string, entry: TarEntry): void {
    const { fd: directory } = this.directories.current
    if (this.layer !== undefined) return removeTreeAt(directory, bytesOf(name))
    let refused = tryUnlinkAt(directory, bytesOf(name), 'file')
    if (refused === 'EISDIR' || refused === 'EPERM') {
      refused = tryUnlinkAt(directory, bytesOf(name), 'directory')
    }
    if (refused === 'ENOTEMPTY') {
      throw badArchive('a directory that is not empty is in its place', entry.path)
    }
    if (refused !== undefined) {
      throw new NspawnError('cannot replace what is there', { code: refused, operation: 'unlink' })
    }
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof NspawnError ? error.code : undefined

function badLink(entry: TarEntry): NspawnError {
  return badArchive(`it is a link to ${shownName(entry.link)}, which is not there`, entry.path)
}

/** @param position undefined goes on where the last write ended */
function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  for (let at = 0; at < bytes.length;) {
    at += writeSync(fd, bytes, at, bytes.length - at, position === null ? null : position + at)
  }
}
