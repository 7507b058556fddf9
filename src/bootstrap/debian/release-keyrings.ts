/** Which keyrings a release is checked with: the host's, and where those are too old for it, the ones that come along. */
import type { NspawnError } from '../../errors.ts'
import { fetchRelease, type SuiteRelease, type SuiteSource } from './release.ts'

/**
 * Fetches and checks the index of a suite; where only keys have signed it that its keyrings lack, with one more keyring.
 *
 * @param spare the keyring to fall back on; undefined when the user has said whom to trust
 * @param spareUsed told when it is that keyring that vouches for the index
 * @throws NspawnError what `fetchRelease()` throws
 */
export async function fetchReleaseWithSpare(
  source: SuiteSource,
  spare: string | undefined,
  spareUsed: () => void,
  signal?: AbortSignal,
): Promise<SuiteRelease> {
  try {
    return await fetchRelease(source, signal)
  } catch (error) {
    if (spare === undefined || (error as NspawnError).code !== 'SIGNER_UNKNOWN') throw error
    const release = await fetchRelease({ ...source, keyrings: [spare] }, signal)
    spareUsed()
    return release
  }
}
