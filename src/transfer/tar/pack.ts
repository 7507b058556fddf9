/**
 * A tree becomes a tar archive, in ustar form with PAX records where a header has no room. tar-stream writes headers
 * and frames the data; the records are ours, since tar-stream writes UTF-8 only, and file capabilities and some
 * names are other bytes.
 */
import { closeSync, readSync } from 'node:fs'
import * as tar from 'tar-stream'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { shiftAcl, shiftCapability } from '../../images/patch-uid.ts'
import { ID_RANGE_LENGTH } from '../../images/id-range.ts'
import { silent, type LogSink } from '../../log.ts'
import { openFileAt, readLinkAt } from '../../sys/at.ts'
import { dataRanges } from '../../sys/data-ranges.ts'
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  sameInode,
  statAt,
  type InodeFacts,
} from '../../sys/statx.ts'
import { getXattr, listXattrs } from '../../sys/xattr.ts'
import { shownName } from '../../shown-name.ts'
import { Turns } from '../../turns.ts'
import { isOverlayXattr } from './attributes.ts'
import { BLOCK, writeExtendedHeader } from './header.ts'
import { writePaxRecords, writePaxTime, type PaxRecord } from './pax.ts'
import { writeLeadingMap } from './sparse.ts'
import { walkTree, type Found } from '../../images/walk-tree.ts'

export interface PackOptions {
  /** Taken from all owners and groups, ACLs and capabilities included: the base of the tree's range of 65536 ids. */
  readonly idShift?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Called now and then with how much of the tree has been packed. */
  readonly progress?: ((done: { entries: number; bytes: number }) => void) | undefined
  readonly log?: LogSink | undefined
}

/** Small pieces are put together: a pipe or a compressor takes few large ones faster. */
const CHUNK_BYTES = 1 << 18
const UNREAD_MAX = 2 * CHUNK_BYTES

/* What fits into a header as tar-stream writes it. */
const TEXT_MAX = 100
const ID_MAX = 0o777777
const SECONDS_MAX = 0o17777777777n

/**
 * Packs the tree at `tree`. Names begin with `./`, the order is that of their bytes, and nothing of the time of packing
 * goes in: the same tree gives the same archive. Owners are numbers. Other mounts in the tree are empty directories;
 * sockets are left out with a warning.
 *
 * @throws (while read) NspawnError `FILE_CHANGED` when a file changes while it is read, `CANCELED`, or an errno name
 */
export async function* packTree(
  tree: string,
  options: PackOptions = {},
): AsyncGenerator<Uint8Array> {
  throwIfCanceled(options.signal, 'packing')
  const pack = tar.pack({ highWaterMark: UNREAD_MAX })
  pack.on('error', () => undefined)
  const packer = new TreePacker(pack, options)
  const packing = packer.run(tree)
  packing.then(
    () => pack.finalize(),
    (error: unknown) => pack.destroy(error as Error),
  )
  let parts: Uint8Array[] = []
  let length = 0
  try {
    for await (const part of pack as AsyncIterable<Uint8Array>) {
      packer.wasRead(part.length)
      parts.push(part)
      length += part.length
      if (length < CHUNK_BYTES) continue
      yield Buffer.concat(parts, length)
      parts = []
      length = 0
    }
    if (length > 0) yield Buffer.concat(parts, length)
  } catch (error) {
    // What went wrong is told there; the stream only passes on that it did.
    await packing
    throw error
  } finally {
    pack.destroy()
    packer.wasRead(Infinity)
    await packing.catch(() => undefined)
  }
}

class TreePacker {
  private readonly pack: tar.Pack
  private readonly options: PackOptions
  private readonly log: LogSink
  /** Files with several names, until all of them have come, with the first. */
  private readonly linked = new Map<string, { readonly path: string; left: number }>()
  private entries = 0
  private bytes = 0
  private readonly turns = new Turns()
  /** What has been written and not read yet, and who waits for less. */
  private unread = 0
  private goOn: (() => void) | undefined

  constructor(pack: tar.Pack, options: PackOptions) {
    this.pack = pack
    this.options = options
    this.log = options.log ?? silent
  }

  async run(tree: string): Promise<void> {
    for (const found of walkTree(tree)) {
      throwIfCanceled(this.options.signal, 'packing')
      await this.add(found)
      await this.room()
      this.entries++
      if (!this.turns.isOver) continue
      this.options.progress?.({ entries: this.entries, bytes: this.bytes })
      await this.turns.next()
    }
    this.options.progress?.({ entries: this.entries, bytes: this.bytes })
  }

  /** To be told how many bytes of the archive were read; when nobody reads any more, `Infinity`. */
  wasRead(bytes: number): void {
    this.unread -= bytes
    if (this.unread <= UNREAD_MAX) this.goOn?.()
  }

  /** Waits while much is unread: tar-stream only does within the contents of files, and most entries have few or none. */
  private async room(): Promise<void> {
    if (this.unread <= UNREAD_MAX) return
    await new Promise<void>((resolve) => (this.goOn = resolve))
    this.goOn = undefined
  }

  private async add(found: Found): Promise<void> {
    const { path, directory, name, facts } = found
    const type = facts.mode & S_IFMT
    if (type === S_IFSOCK) {
      return this.log({ kind: 'warning', text: `leaving out the socket ${shownName(path)}` })
    }
    const first = type === S_IFDIR ? undefined : this.firstName(path, facts)
    if (first !== undefined) return this.write(found, { type: 'link', linkname: first })
    switch (type) {
      case S_IFREG:
        return this.addFile(found)
      case S_IFDIR:
        return this.write({ ...found, path: `${path}/` }, { type: 'directory' })
      case S_IFLNK: {
        const target = Buffer.from(readLinkAt(directory, name)).toString('latin1').slice(0, -1)
        return this.write(found, { type: 'symlink', linkname: target })
      }
      case S_IFCHR:
        return this.write(found, { type: 'character-device' })
      case S_IFBLK:
        return this.write(found, { type: 'block-device' })
      case S_IFIFO:
        return this.write(found, { type: 'fifo' })
      default:
        throw new NspawnError('cannot pack an inode of unknown type', {
          code: 'EINVAL',
          operation: 'pack',
          subject: shownName(path),
        })
    }
  }

  /** The name that this inode has come by already. */
  private firstName(path: string, facts: InodeFacts): string | undefined {
    if (facts.links < 2) return undefined
    const key = `${facts.deviceMajor}:${facts.deviceMinor}:${facts.inode}`
    const known = this.linked.get(key)
    if (known === undefined) {
      this.linked.set(key, { path, left: facts.links - 1 })
      return undefined
    }
    if (--known.left === 0) this.linked.delete(key)
    return known.path
  }

  private async addFile(found: Found): Promise<void> {
    const fd = openFileAt(found.directory, found.name, 'read')
    try {
      const facts = statAt(fd)
      if (!sameInode(facts, found.facts)) throw changed(found.path)
      const size = facts.sizeBytes
      // Blocks tell at no cost whether holes are worth a search.
      const ranges = facts.blocks * 512 < size ? dataRanges(fd, size) : [0, size]
      const stored = ranges.reduce((sum, range, i) => (i % 2 === 0 ? sum : sum + range), 0)
      const opened = { ...found, facts }
      if (stored === size) await this.write(opened, { type: 'file', size }, fd, [0, size])
      else await this.addSparse(opened, fd, ranges, stored)
      const now = statAt(fd)
      if (now.sizeBytes !== size || !sameTime(now.modified, facts.modified))
        throw changed(found.path)
    } finally {
      closeSync(fd)
    }
  }

  /** PAX format 1.0, as GNU tar writes it: the map lies before the data, and the header's name is a made-up one. */
  private async addSparse(
    found: Found,
    fd: number,
    ranges: readonly number[],
    stored: number,
  ): Promise<void> {
    const size = found.facts.sizeBytes
    // A hole at the end is told by a piece without length: GNU tar takes the length from the pieces.
    const end = (ranges.at(-2) ?? 0) + (ranges.at(-1) ?? 0)
    const map = writeLeadingMap(end === size ? ranges : [...ranges, size, 0])
    const records = [
      text('GNU.sparse.major', '1'),
      text('GNU.sparse.minor', '0'),
      text('GNU.sparse.name', found.path),
      text('GNU.sparse.realsize', String(size)),
    ]
    const cut = found.path.lastIndexOf('/')
    const path = `${found.path.slice(0, cut)}/GNUSparseFile.0${found.path.slice(cut)}`
    const header = { type: 'file', size: map.length + stored } as const
    await this.write({ ...found, path }, header, fd, ranges, { records, map })
  }

  private async write(
    found: Found,
    header: { type: tar.Header['type']; linkname?: string; size?: number },
    fd?: number,
    ranges: readonly number[] = [],
    sparse?: { readonly records: readonly PaxRecord[]; readonly map: Buffer },
  ): Promise<void> {
    const { path, facts } = found
    const records = [...(sparse?.records ?? [])]
    const uid = this.owner(facts.uid, path)
    const gid = this.owner(facts.gid, path)
    const { linkname = '', size = 0, type } = header
    const { seconds, nanoseconds } = facts.modified
    const inRange = seconds >= 0n && seconds <= SECONDS_MAX
    if (!fits(path)) records.push(text('path', path))
    if (!fits(linkname)) records.push(text('linkpath', linkname))
    if (uid > ID_MAX) records.push(text('uid', String(uid)))
    if (gid > ID_MAX) records.push(text('gid', String(gid)))
    if (!inRange || nanoseconds > 0) records.push(text('mtime', writePaxTime(facts.modified)))
    const device = type === 'character-device' || type === 'block-device'
    if (device && Math.max(facts.specialMajor, facts.specialMinor) > ID_MAX) {
      records.push(text('SCHILY.devmajor', String(facts.specialMajor)))
      records.push(text('SCHILY.devminor', String(facts.specialMinor)))
    }
    if (type !== 'link') records.push(...this.attributes(found, fd))
    if (records.length > 0) await this.writeRecords(writePaxRecords(records))
    await this.entry(
      {
        name: shortened(path),
        type,
        linkname: shortened(linkname),
        uname: '',
        gname: '',
        size,
        // The type's bits are cut off; without them tar-stream takes no permissions for permissions not given.
        mode: facts.mode,
        uid: uid > ID_MAX ? 0 : uid,
        gid: gid > ID_MAX ? 0 : gid,
        mtime: new Date(inRange ? Number(seconds) * 1000 : 0),
        devmajor: device ? facts.specialMajor : 0,
        devminor: device ? facts.specialMinor : 0,
      },
      fd === undefined ? undefined : { fd, ranges, map: sparse?.map, path },
    )
    this.unread += BLOCK + Math.ceil(size / BLOCK) * BLOCK
  }

  /** What is no part of a header, as records. A hard link's are with its first name. */
  private attributes({ path, directory, name }: Found, fd: number | undefined): PaxRecord[] {
    const target = fd ?? Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])
    const records: PaxRecord[] = []
    for (const attribute of listXattrs(target).toSorted()) {
      const value = isOverlayXattr(attribute) ? undefined : getXattr(target, attribute)
      if (value === undefined) {
        const text = `leaving out attribute ${attribute} of ${shownName(path)}`
        this.log({ kind: 'warning', text })
        continue
      }
      // The sign that ends a key is written as GNU tar does.
      const key = attribute.replaceAll('%', '%25').replaceAll('=', '%3D')
      records.push({
        key: `SCHILY.xattr.${Buffer.from(key).toString('latin1')}`,
        value: this.unshifted(attribute, value),
      })
    }
    return records
  }

  private unshifted(attribute: string, value: Buffer): Buffer {
    if (this.options.idShift === undefined) return value
    if (attribute === 'security.capability') return shiftCapability(value, 0)
    if (attribute.startsWith('system.posix_acl_')) shiftAcl(value, 0)
    return value
  }

  private owner(id: number, path: string): number {
    const base = this.options.idShift
    if (base === undefined) return id
    if (id >= base && id < base + ID_RANGE_LENGTH) return id - base
    throw new NspawnError('cannot pack a file whose owner is not in the range of the tree', {
      code: 'EINVAL',
      operation: 'pack',
      subject: shownName(path),
    })
  }

  /** Raw bytes go in between two entries of tar-stream's, which has no way to write them. */
  private async writeRecords(records: Buffer): Promise<void> {
    const bytes = Buffer.concat([writeExtendedHeader(records.length), records, filling(records)])
    this.pack.push(bytes)
    this.unread += bytes.length
  }

  private entry(header: tar.Header, content: Content | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      const sink = this.pack.entry(header, done)
      // Told by the callback; unheard, it would end the process.
      sink.on('error', () => undefined)
      if (content === undefined) return
      this.fill(sink, content).then(
        () => sink.end(null),
        (error: unknown) => {
          reject(error)
          sink.destroy(error as Error)
        },
      )
    })
  }

  private async fill(sink: Sink, { fd, ranges, map, path }: Content): Promise<void> {
    if (map !== undefined) await written(sink, map)
    for (let i = 0; i < ranges.length; i += 2) {
      const end = (ranges[i] as number) + (ranges[i + 1] as number)
      for (let at = ranges[i] as number; at < end;) {
        throwIfCanceled(this.options.signal, 'packing')
        const buffer = Buffer.allocUnsafeSlow(Math.min(end - at, CHUNK_BYTES))
        const length = readSync(fd, buffer, 0, buffer.length, at)
        if (length === 0) throw changed(path)
        await written(sink, buffer.subarray(0, length))
        at += length
        this.bytes += length
      }
    }
  }
}

interface Content {
  readonly fd: number
  /** Offsets and lengths by turns. */
  readonly ranges: readonly number[]
  /** What comes before them. */
  readonly map: Buffer | undefined
  readonly path: string
}

async function written(sink: Sink, bytes: Buffer): Promise<void> {
  if (sink.write(bytes)) return
  await new Promise<void>((resolve) => {
    const go = () => {
      sink.off('drain', go)
      sink.off('close', go)
      resolve()
    }
    sink.on('drain', go)
    sink.on('close', go)
  })
}

const text = (key: string, latin1: string): PaxRecord => ({
  key,
  value: Buffer.from(latin1, 'latin1'),
})

/** Whether tar-stream writes it as it is. */
const fits = (latin1: string): boolean => latin1.length <= TEXT_MAX && /^[\x20-\x7e]*$/.test(latin1)

/** For readers that do not know PAX, and for tar-stream, which would add a record of its own. */
function shortened(latin1: string): string {
  if (fits(latin1)) return latin1
  const end = latin1.endsWith('/') ? '/' : ''
  return latin1.replace(/[^\x20-\x7e]/g, '_').slice(0, TEXT_MAX - end.length) + end
}

type Sink = ReturnType<tar.Pack['entry']>

const sameTime = (a: InodeFacts['modified'], b: InodeFacts['modified']): boolean =>
  a.seconds === b.seconds && a.nanoseconds === b.nanoseconds

const filling = (bytes: Uint8Array): Buffer => Buffer.alloc(-bytes.length & (BLOCK - 1))

function changed(path: string): NspawnError {
  return new NspawnError('a file changed while it was packed', {
    code: 'FILE_CHANGED',
    operation: 'pack',
    subject: shownName(path),
    hint: 'stop what runs in the tree, or pack a copy of it',
  })
}
