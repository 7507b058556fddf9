/** A file or a stream becomes a disk image. */
import { join } from 'node:path'
import { usageError } from '../../errors.ts'
import { MAGIC_BYTES, compressionByMagic } from '../compression.ts'
import { convertQcow2 } from '../disk/convert-qcow2.ts'
import { isQcow2File, openQcow2 } from '../disk/qcow2.ts'
import { unpackDisk } from '../disk/unpack-disk.ts'
import { copyDisk } from '../disk/write.ts'
import { openInput, type LocalInput } from '../local/input.ts'
import { withoutSuffixes } from '../pull/address.ts'
import { readSync } from 'node:fs'
import {
  importedName,
  importImage,
  type ImportedImage,
  type ImportKind,
  type ImportRequest,
  type ImportWork,
} from './import.ts'

const kind: ImportKind = {
  type: 'import-raw',
  image: 'disk',
  nameFrom: (name) => withoutSuffixes(name, 'raw'),
}

/**
 * Imports a disk image, however it is compressed, and be it qcow2. A plain file shares its blocks with the image where
 * the file system can; its holes stay holes, and zeros become some.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY`, `BAD_COMPRESSION`, `BAD_QCOW2`, `UNSUPPORTED_QCOW2`, `ENOSPC`,
 *   `CANCELED`, `TRANSFER_CANCELED`
 */
export async function importRaw(request: ImportRequest): Promise<ImportedImage> {
  const name = importedName(kind, request)
  using input = openInput(request.source)
  return await importImage(kind, name, request, async (work) => {
    const { bytes } = await fill(input, work)
    if (bytes === 0) throw usageError(`${input.name} is empty`)
    return bytes
  })
}

function fill(input: LocalInput, work: ImportWork): Promise<{ bytes: number }> {
  const { stage, signal } = work
  const plain = input.file === undefined ? undefined : plainFile(input.file.fd)
  if (plain === undefined) {
    const read = (bytes: number) => work.progress(bytes, input.totalBytes)
    return unpackDisk(input.chunks(signal, read), stage.path, join(stage.directory, 'packed'), {
      signal,
    })
  }
  // What is converted is as long as its disk, whatever the file is.
  const qcow2 = isQcow2File(plain)
  const total = qcow2 ? openQcow2(plain).diskBytes : input.totalBytes
  const progress = (bytes: number) => work.progress(bytes, total)
  return (qcow2 ? convertQcow2 : copyDisk)(plain, stage.path, { signal, progress })
}

/** The descriptor of a file that needs no decompression. */
function plainFile(fd: number): number | undefined {
  const head = Buffer.alloc(MAGIC_BYTES)
  const got = readSync(fd, head, 0, head.length, 0)
  return compressionByMagic(head.subarray(0, got)) === 'uncompressed' ? fd : undefined
}
