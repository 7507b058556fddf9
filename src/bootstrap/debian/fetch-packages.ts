/** Brings a package into a directory, and does not fetch what an earlier run has brought. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hashFile } from '../../hash-file.ts'
import { missing } from '../../read-if-there.ts'
import { download } from '../../transfer/download.ts'
import { linkOrCopy } from '../package-cache.ts'
import { debFileName, type ArchivePackage } from './archive-package.ts'

/**
 * @param places both have packages under the names that apt gives them; one of the pool that is not what the
 *   index says is left alone
 * @returns the package's path
 * @throws NspawnError what `download()` throws
 */
export async function fetchPackage(
  one: ArchivePackage,
  { packages, pool }: { readonly packages: string; readonly pool: string },
  signal?: AbortSignal,
): Promise<string> {
  const destination = join(packages, debFileName(one))
  const kept = join(pool, debFileName(one))
  const facts = await stat(kept).catch(missing)
  if (facts?.size === one.sizeBytes && (await hashFile(kept, signal)) === one.sha256) {
    await linkOrCopy(kept, destination)
    return destination
  }
  const { sizeBytes, sha256 } = one
  await one.mirrors.run(async (base, patience) => {
    const url = new URL(encodeURI(one.fileName), base)
    await download({ url, destination, sizeBytes, sha256, signal, ...patience })
  })
  return destination
}
