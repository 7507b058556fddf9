/**
 * Packages that were fetched once, for the next layer that wants them. Package managers in containers never
 * write to the pool: they see links to its files in a layer below their own, what they fetch goes into their
 * own, and is moved from there when they have ended.
 */
import { lstat, readdir, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { linkFromPool, returnToPool } from '../bootstrap/package-cache.ts'
import { removeTreeGently } from '../images/remove-tree.ts'
import { missing } from '../read-if-there.ts'
import { findInTree } from './tree-path.ts'

/** What a package manager fetches. */
export interface Downloads {
  /** Where it puts packages, relative to the root. */
  readonly directory: string
  /** @param path relative to the directory */
  isPackage(path: string): boolean
  /** Other things lie there too, which stay. */
  readonly shared?: true
  /** The name of the pool that builds above `tree` share, relative to all pools. */
  pool(tree: string): Promise<string>
}

export interface LentPackages {
  /** A layer with links to the packages of the pool; absolute. */
  readonly layer: string
  /**
   * Drops those from the pool that the package manager has deleted because they were damaged.
   *
   * @param upper what it has written
   * @returns their names
   */
  dropDamaged(upper: string): Promise<readonly string[]>
  /** Moves what was fetched out of `upper` into the pool. */
  takeBack(upper: string): Promise<void>
}

/**
 * Lends the packages of a pool.
 *
 * @param pool absolute; made when missing
 * @param layer absolute; a directory that may be there already, with packages of the same pool
 */
export async function lendPackages(
  { directory, isPackage, shared }: Downloads,
  pool: string,
  layer: string,
): Promise<LentPackages> {
  await rm(layer, { recursive: true, force: true })
  await linkFromPool(pool, join(layer, directory), isPackage)
  return {
    layer,
    dropDamaged: async (upper) => {
      const place = findInTree(upper, directory)
      if (place === undefined) return []
      const damaged: string[] = []
      for (const name of (await readdir(place)).filter(isPackage)) {
        const facts = await lstat(join(place, name))
        // Overlay's mark for what was deleted: a device of no kind.
        if (!facts.isCharacterDevice() || facts.rdev !== 0) continue
        await rm(join(pool, name), { force: true })
        damaged.push(name)
      }
      return damaged
    },
    takeBack: async (upper) => {
      const place = findInTree(upper, directory)
      const facts = place === undefined ? undefined : await lstat(place).catch(missing)
      if (place === undefined || facts?.isDirectory() !== true) return
      await returnToPool(pool, place, isPackage)
      if (shared !== true) return removeTreeGently(place)
      for (const entry of await readdir(place, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name)
        if (entry.isFile() && isPackage(relative(place, path))) await rm(path)
      }
    },
  }
}
