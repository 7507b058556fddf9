/** Reading files of a tree or layer that is at rest, without ever being led to a file of the host. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { NspawnError } from '../errors.ts'
import { resolveInRoot } from '../images/resolve-in-root.ts'

/** The host path of `path` in the tree, links followed in the tree; `undefined` when it is not there. */
export function findInTree(root: string, path: string): string | undefined {
  try {
    return resolveInRoot(root, path)
  } catch (error) {
    if (error instanceof NspawnError && ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(error.code))
      return undefined
    throw error
  }
}

/** The text of a regular file of the tree; `undefined` when there is none. */
export async function readTreeFile(root: string, path: string): Promise<string | undefined> {
  const found = findInTree(root, path)
  if (found === undefined || !(await stat(found)).isFile()) return undefined
  return readFile(found, 'utf8')
}

/** The names in a directory of the tree, sorted; none when it does not exist. */
export async function listTreeDirectory(root: string, path: string): Promise<readonly string[]> {
  const found = findInTree(root, path)
  return found === undefined ? [] : (await readdir(found)).toSorted()
}
