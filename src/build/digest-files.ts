/** Tells two trees or layers apart by some of their files, read beneath their root. */
import { createHash } from 'node:crypto'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { findInTree } from './tree-path.ts'

export interface DigestWishes {
  /** Of a directory: the names in it, or also what its files contain; those below it do not count. */
  readonly directories: 'names' | 'files'
}

/**
 * A digest over files and directories of the tree at `root`; what is not there counts too.
 *
 * @param paths relative to the root
 */
export async function digestFiles(
  root: string,
  paths: readonly string[],
  { directories }: DigestWishes,
): Promise<string> {
  const hash = createHash('sha256')
  const addFile = async (name: string, place: string) => {
    hash.update(`${name}\0`)
    hash.update(await readFile(place))
  }
  for (const path of paths) {
    hash.update(`${path}\0`)
    const found = findInTree(root, path)
    if (found === undefined) continue
    const facts = await stat(found)
    if (facts.isFile()) await addFile(path, found)
    if (!facts.isDirectory()) continue
    for (const name of (await readdir(found)).toSorted()) {
      hash.update(`${name}\0`)
      const inner = directories === 'files' ? findInTree(root, join(path, name)) : undefined
      if (inner !== undefined && (await stat(inner)).isFile()) await addFile(name, inner)
    }
  }
  return hash.digest('hex')
}
