/** Brings a package into a directory, and does not fetch what is there already. */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hashFile } from '../../hash-file.ts'
import { missing } from '../../read-if-there.ts'
import { download } from '../../transfer/download.ts'
import { debFileName, type ArchivePackage } from './archive-package.ts'

/**
 * @param directory where packages lie under the names that apt gives them; one that is not what the index
 *   says is replaced
 * @returns the package's path
 * @throws NspawnError what `download()` throws
 */
export async function fetchPackage(
  one: ArchivePackage,
  directory: string,
  signal?: AbortSignal,
): Promise<string> {
  const destination = join(directory, debFileName(one))
  const facts = await stat(destination).catch(missing)
  if (facts !== undefined) {
    if (facts.size === one.sizeBytes && (await hashFile(destination)) === one.sha256)
      return destination
    await rm(destination)
  }
  const { sizeBytes, sha256 } = one
  await one.mirrors.run(async (base, patience) => {
    const url = new URL(encodeURI(one.fileName), base)
    await download({ url, destination, sizeBytes, sha256, signal, ...patience })
  })
  return destination
}
