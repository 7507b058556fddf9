/** Whether there is room for a tree, known as soon as its packages are chosen, and before they are fetched. */
import { statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { debFileName, type ArchivePackage } from './archive-package.ts'
import type { PackageSet } from './package-set.ts'

/** Databases and caches of dpkg, apt, ldconfig and the like. */
const besideBytes = 30_000_000

/** Files end in the middle of a block; archives say what they take on another file system. */
const spare = 1.1

/**
 * How much a tree takes while it is made: what is fetched, the files of all packages, and those of the packages that
 * wait for dpkg once more, for they are decompressed before.
 *
 * @param isHere whether a package has been fetched
 */
export function neededBytes(
  { essential, others }: PackageSet,
  isHere: (one: ArchivePackage) => boolean,
): number {
  const installed = (packages: readonly ArchivePackage[]) =>
    packages.reduce((sum, { installedKiB }) => sum + installedKiB * 1024, 0)
  const fetched = [...essential, ...others].filter((one) => !isHere(one))
  const download = fetched.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const [first, later] = [installed(essential), installed(others)]
  // Those of the essential packages are gone when dpkg takes the others.
  const files = first + later + Math.max(first, later)
  return Math.ceil(download + files * spare) + besideBytes
}

/**
 * @param pool directory of what has been fetched before; it costs nothing where it can be linked into the tree's place
 * @throws NspawnError `ENOSPC`
 */
export function checkRoom(set: PackageSet, root: string, pool: string): void {
  const { dev } = statSync(root)
  const needed = neededBytes(set, (one) => {
    const facts = statSync(join(pool, debFileName(one)), { throwIfNoEntry: false })
    return facts?.size === one.sizeBytes && facts.dev === dev
  })
  const { bavail, bsize } = statfsSync(root)
  const free = bavail * bsize
  if (free >= needed) return
  const megabytes = (bytes: number) => (bytes / 1_000_000).toFixed(0)
  throw new NspawnError(
    `only ${megabytes(free)} MB are free, and ${set.essential.length + set.others.length} packages need ${megabytes(needed)} MB while they are installed`,
    { code: 'ENOSPC', operation: 'check free space', subject: root },
  )
}
