/** A tar archive becomes a tree. */
import { openPlain } from '../decompress.ts'
import { openInput } from '../local/input.ts'
import { liftOsTree } from '../os-tree.ts'
import { withoutSuffixes } from '../pull/address.ts'
import { unpackTar } from '../tar/unpack.ts'
import {
  importedName,
  importImage,
  type ImportedImage,
  type ImportKind,
  type ImportRequest,
} from './import.ts'

const kind: ImportKind = {
  type: 'import-tar',
  image: 'tree',
  nameFrom: (name) => withoutSuffixes(name, 'tar'),
}

/**
 * Imports a tree from a tar archive, however it is compressed. A system that lies one directory deep in it is moved up.
 *
 * @throws NspawnError `USAGE`, `IMAGE_EXISTS`, `EBUSY`, `BAD_COMPRESSION`, `BAD_ARCHIVE`, `TRUNCATED_ARCHIVE`, `ENOSPC`,
 *   `CANCELED`, `TRANSFER_CANCELED`
 */
export async function importTar(request: ImportRequest): Promise<ImportedImage> {
  const name = importedName(kind, request)
  using input = openInput(request.source)
  return await importImage(kind, name, request, async ({ stage, signal, log, progress }) => {
    const packed = input.chunks(signal, (bytes) => progress(bytes, input.totalBytes))
    const { chunks } = await openPlain(packed, { signal, chunks: 'lent' })
    const { bytes } = await unpackTar(chunks, stage.path, { signal, log })
    liftOsTree(stage.path, log)
    return bytes
  })
}
