/** Brings a package into a directory, and does not fetch what an earlier run has brought. */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import { linkOrCopy } from '../../link-or-copy.ts'
import { missing } from '../../read-if-there.ts'
import { download } from '../../transfer/download.ts'
import { withoutSecrets } from '../../transfer/url.ts'
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
  const { sizeBytes, digest } = one
  const isRight = async (path: string) =>
    (await hashFile(path, signal, digest.algorithm)) === digest.hex
  if (facts?.size === sizeBytes && (await isRight(kept))) {
    await linkOrCopy(kept, destination)
    return destination
  }
  await one.mirrors.run(async (base, patience) => {
    const url = new URL(encodeURI(one.fileName), base)
    const sha256 = digest.algorithm === 'sha256' ? digest.hex : undefined
    await download({ url, destination, sizeBytes, sha256, signal, ...patience })
    if (sha256 !== undefined || (await isRight(destination))) return
    await rm(destination)
    throw new NspawnError(`its ${digest.algorithm} is not the one that was promised`, {
      code: 'CHECKSUM_MISMATCH',
      operation: `check ${digest.algorithm}`,
      subject: withoutSecrets(url),
    })
  })
  return destination
}
