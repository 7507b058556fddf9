/**
 * A binary package is an ar archive of a version, control data and a file system, deb(5). dpkg decompresses
 * the last one in one thread while it unpacks; here it is done before, for several packages at once.
 */
import { createReadStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { NspawnError } from '../../errors.ts'
import { openPlain } from '../../transfer/decompress.ts'

interface Member {
  readonly name: string
  /** Where its data are in the file. */
  readonly offset: number
  readonly sizeBytes: number
}

/** ar(5): the magic of the file, and the header of each member. */
const magic = '!<arch>\n'
const headerBytes = 60

/**
 * Writes the package again, its file system uncompressed, to `destination`.
 *
 * @returns where the file system's tar archive lies in the new file
 * @throws NspawnError `BAD_PACKAGE` when it is none, what `openPlain()` throws, or an errno name
 */
export async function writePlainDeb(
  path: string,
  destination: string,
  signal?: AbortSignal,
): Promise<TarPlace> {
  const members = await readMembers(path)
  const data = members.find(({ name }) => /^data\.tar(\.[a-z0-9]+)?$/.test(name))
  const control = members.find(({ name }) => /^control\.tar(\.[a-z0-9]+)?$/.test(name))
  const [version] = members
  if (version?.name !== 'debian-binary' || control === undefined || data === undefined)
    throw badPackage('it has no control data or no files', path)
  const file = await open(destination, 'wx', 0o644)
  try {
    const writer = new Writer(file)
    await writer.write(Buffer.from(magic))
    for (const member of [version, control]) {
      await writer.write(header(member.name, member.sizeBytes))
      for await (const chunk of readMember(path, member)) await writer.write(chunk)
      await writer.align()
    }
    const start = writer.position + headerBytes
    await writer.write(header('data.tar', 0))
    const { chunks } = await openPlain(readMember(path, data), { signal })
    for await (const chunk of chunks) await writer.write(chunk)
    const sizeBytes = writer.position - start
    await writer.align()
    const size = header('data.tar', sizeBytes)
    await file.write(size, 0, size.length, start - headerBytes)
    return { path: destination, start, sizeBytes }
  } catch (error) {
    throw namedAfter(path, error)
  } finally {
    await file.close()
  }
}

/**
 * The archive of control data of a package, compressed as it is there.
 *
 * @throws NspawnError `BAD_PACKAGE`; while it is read, an errno name
 */
export async function openControlArchive(path: string): Promise<AsyncIterable<Buffer>> {
  const members = await readMembers(path)
  const control = members.find(({ name }) => /^control\.tar(\.[a-z0-9]+)?$/.test(name))
  if (control === undefined) throw badPackage('it has no control data', path)
  return readMember(path, control)
}

/** The same of its files. */
export async function openDataArchive(path: string): Promise<AsyncIterable<Buffer>> {
  const members = await readMembers(path)
  const data = members.find(({ name }) => /^data\.tar(\.[a-z0-9]+)?$/.test(name))
  if (data === undefined) throw badPackage('it has no files', path)
  return readMember(path, data)
}

/** A tar archive within a file. */
export interface TarPlace {
  readonly path: string
  readonly start: number
  readonly sizeBytes: number
}

/** The bytes of a tar archive that lies in a file. */
export function readTar({ path, start, sizeBytes }: TarPlace): AsyncIterable<Buffer> {
  return readMember(path, { name: 'data.tar', offset: start, sizeBytes })
}

function readMember(path: string, { offset, sizeBytes }: Member): AsyncIterable<Buffer> {
  if (sizeBytes === 0) return createReadStream('/dev/null')
  return createReadStream(path, {
    start: offset,
    end: offset + sizeBytes - 1,
    highWaterMark: 256 * 1024,
  })
}

async function readMembers(path: string): Promise<Member[]> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const buffer = Buffer.alloc(headerBytes)
    await file.read(buffer, 0, magic.length, 0)
    if (buffer.toString('latin1', 0, magic.length) !== magic)
      throw badPackage('it is no ar archive', path)
    const members: Member[] = []
    for (let offset = magic.length; offset < size;) {
      await file.read(buffer, 0, headerBytes, offset)
      const text = buffer.toString('latin1')
      const name = text.slice(0, 16).trimEnd().replace(/\/$/, '')
      const sizeText = text.slice(48, 58).trimEnd()
      if (name === '' || !/^\d+$/.test(sizeText) || text.slice(58) !== '`\n')
        throw badPackage('the header of a member is broken', path)
      const sizeBytes = Number(sizeText)
      const start = offset + headerBytes
      if (start + sizeBytes > size) throw badPackage('its end is missing', path)
      members.push({ name, offset: start, sizeBytes })
      offset = start + sizeBytes + (sizeBytes % 2)
    }
    return members
  } finally {
    await file.close()
  }
}

function header(name: string, sizeBytes: number): Buffer {
  const fields = [
    [name, 16],
    ['0', 12],
    ['0', 6],
    ['0', 6],
    ['100644', 8],
    [`${sizeBytes}`, 10],
  ] as const
  return Buffer.from(`${fields.map(([text, width]) => text.padEnd(width)).join('')}\`\n`, 'latin1')
}

class Writer {
  position = 0
  private readonly file: FileHandle

  constructor(file: FileHandle) {
    this.file = file
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length;) {
      const left = chunk.length - done
      const { bytesWritten } = await this.file.write(chunk, done, left, this.position)
      done += bytesWritten
      this.position += bytesWritten
    }
  }

  /** Members begin at even places. */
  async align(): Promise<void> {
    if (this.position % 2 === 1) await this.write(Buffer.from('\n'))
  }
}

function badPackage(why: string, path: string): NspawnError {
  return new NspawnError(`cannot read the package: ${why}`, {
    code: 'BAD_PACKAGE',
    operation: 'read .deb',
    subject: path,
  })
}

/** An error of the system or of decompression as one that names the package. */
function namedAfter(path: string, error: unknown): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === undefined || (error as NspawnError).code === 'CANCELED') return error
  if (error instanceof NspawnError && error.subject === path) return error
  return new NspawnError('cannot read the package', {
    code,
    operation: syscall ?? 'read .deb',
    subject: path,
    cause: error instanceof NspawnError ? error : undefined,
  })
}
