/** Copies files of a suite into a layer of its containers. */
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { copySourceTree } from '../build/copy-source-tree.ts'
import { buildUserId, buildUserName } from '../build/places.ts'
import { makePlace } from '../build/prepare-root.ts'
import { NspawnError } from '../errors.ts'
import type { SuiteFile } from './suite.ts'

/**
 * Copies them, with version control's directories. They belong to root, or to the build user for its cases.
 *
 * @param tree host directory that the layer is for
 * @param layer host directory
 * @returns digests, in the order of the files
 * @throws NspawnError `SUITE_FILES` when one is missing, or its place is taken
 */
export async function copyFiles(
  files: readonly SuiteFile[],
  { tree, layer, user }: { readonly tree: string; readonly layer: string; readonly user: string },
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const own = [buildUserName, String(buildUserId)].includes(user)
  const wishes = { owner: own ? buildUserId : 0, versionControl: 'copied' } as const
  const digests: string[] = []
  for (const { source, destination } of files) {
    const place = join(layer, await makePlace(tree, layer, destination))
    try {
      const copied = await copySourceTree(await realpath(source), place, wishes, signal)
      digests.push(`${destination} ${copied.sha256}`)
    } catch (error) {
      const { code, path } = error as NodeJS.ErrnoException
      if (error instanceof NspawnError || (code !== 'ENOENT' && code !== 'EEXIST')) throw error
      const taken = code === 'EEXIST'
      throw new NspawnError(
        taken ? 'two files of the suite have the same place' : 'a file of the suite is missing',
        { code: 'SUITE_FILES', operation: 'copy', subject: taken ? destination : (path ?? source) },
      )
    }
  }
  return digests
}
