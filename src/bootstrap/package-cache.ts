/**
 * Packages that were downloaded once, kept below the state directory. Nobody writes into the pool: a run
 * links what it may need into its stage, and afterwards moves what is new into the pool by rename, so
 * runs at the same time need no lock. Pools are divided by mirror, since archives that people make by
 * hand give the same name to different packages.
 */
import { createHash, randomBytes } from 'node:crypto'
import { constants, readFileSync } from 'node:fs'
import {
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  unlink,
  utimes,
} from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { hashFile } from '../hash-file.ts'
import { linkOrCopy } from '../link-or-copy.ts'
import { missing } from '../read-if-there.ts'
import type { TreePlan } from './plan.ts'

/** A package that no tree has asked for in this long is dropped. */
const keepMs = 60 * 24 * 3600 * 1000

/**
 * The pool of those that trust the same: apt looks only at the size of what it finds there, so packages of an archive
 * with other keys, or of archives beside the main one, are of no use to anybody else. zypper does not look again who
 * signed an index that it has.
 */
export function packagePool(stateDirectory: string, { archive, recipe }: TreePlan): string {
  const hash = createHash('sha256').update(archive.mirror)
  if (archive.family === 'apt') {
    if (archive.keyringFrom === 'option') hash.update(readFileSync(archive.keyring))
    if (archive.repositories.length > 0) hash.update(JSON.stringify(archive.repositories))
  }
  if (archive.family === 'rpm' && archive.keyring !== undefined)
    hash.update(readFileSync(archive.keyring))
  return join(stateDirectory, 'cache', recipe, hash.digest('hex').slice(0, 12))
}

/** Whether what was fetched may be kept: not where nobody vouches for it. */
export function isWorthKeeping({ archive, signatures }: TreePlan): boolean {
  const beside = archive.family === 'apt' ? archive.repositories : []
  return signatures === 'required' && beside.every(({ trust }) => trust.kind !== 'nobody')
}

/** Whether a file, by its path in the directory, is a package that the tree may have, or describes such. */
export type IsPackage = (path: string) => boolean

/** Made whole by those who build packages, and never changed after; tools may write over anything else. */
const unchanging = /\.(deb|rpm|pkg\.tar(\.\w+)?)$/

/** On another file system packages are copied, and may take this part of what is free there. */
const copiesMax = 1 / 4

/**
 * Puts every package of the pool that the tree may have into `directory`; none where that would take much of its room.
 *
 * @returns how many
 */
export async function linkFromPool(
  pool: string,
  directory: string,
  isPackage: IsPackage,
): Promise<number> {
  let linked = 0
  const names = await packagesIn(pool, isPackage)
  await mkdir(directory, { recursive: true, mode: 0o755 })
  if (!(await fits(pool, names, directory))) return 0
  for (const name of names) {
    // Another run may have dropped it meanwhile.
    const dropped = (error: unknown) => missing(error) ?? 0
    await mkdir(dirname(join(directory, name)), { recursive: true, mode: 0o755 })
    linked += await place(join(pool, name), join(directory, name)).then(() => 1, dropped)
  }
  return linked
}

/** Whether the directory has room for the files, which cost nothing on the same file system. */
async function fits(pool: string, names: readonly string[], directory: string): Promise<boolean> {
  if (names.length === 0 || (await stat(pool)).dev === (await stat(directory)).dev) return true
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(pool, name)).catch(missing))?.size ?? 0),
  )
  const { bavail, bsize } = await statfs(directory)
  return sizes.reduce((sum, size) => sum + size, 0) <= bavail * bsize * copiesMax
}

/**
 * Moves the packages of `directory` that the pool does not have, or has otherwise, into it, marks the others
 * as used, and drops what was not used for long. A run that found one of the pool to be damaged has fetched
 * another, which takes its place: it would be fetched again by every run. Data is on disk before its name is in the pool: apt trusts a file
 * of the right size.
 */
export async function returnToPool(
  pool: string,
  directory: string,
  isPackage: IsPackage,
): Promise<void> {
  await mkdir(pool, { recursive: true, mode: 0o755 })
  const now = new Date()
  for (const name of await packagesIn(directory, isPackage)) {
    const own = join(directory, name)
    if (!(await lstat(own)).isFile()) continue
    if (await isSameFile(own, join(pool, name))) {
      await utimes(join(pool, name), now, now).catch(missing)
      continue
    }
    const incoming = join(pool, `.${randomBytes(6).toString('hex')}.${basename(name)}`)
    try {
      await mkdir(dirname(join(pool, name)), { recursive: true, mode: 0o755 })
      await place(own, incoming)
      await sync(incoming)
      await utimes(incoming, now, now)
      await rename(incoming, join(pool, name))
    } finally {
      // Still there also when another run has brought the same file meanwhile: rename(2) leaves both names then.
      await rm(incoming, { force: true })
    }
  }
  await dropOld(pool, now.getTime() - keepMs)
}

/** Whether the pool has this very file, or where files cannot be linked into a stage, the same in it. */
async function isSameFile(own: string, kept: string): Promise<boolean> {
  const [a, b] = [await stat(own), await stat(kept).catch(missing)]
  if (b === undefined || a.size !== b.size) return false
  if (a.dev === b.dev && a.ino === b.ino) return true
  const digests = await Promise.all([hashFile(own), hashFile(kept).catch(missing)])
  return digests[0] === digests[1]
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.datasync()
  } finally {
    await file.close()
  }
}

async function dropOld(pool: string, before: number): Promise<void> {
  for (const name of await filesBelow(pool)) {
    const path = join(pool, name)
    // Runs at the same time drop the same.
    const facts = await stat(path).catch(missing)
    if (facts !== undefined && facts.mtimeMs < before) await unlink(path).catch(missing)
  }
}

async function packagesIn(directory: string, isPackage: IsPackage): Promise<string[]> {
  const names = await filesBelow(directory)
  return names.filter((name) => isPackage(name) && !basename(name).startsWith('.'))
}

/** Paths in the directory of all that is no directory itself; none when it is not there. */
async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(missing)
  return (entries ?? [])
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
}

/** A file with two names is one file: what may be changed under the one is copied. */
async function place(from: string, to: string): Promise<void> {
  if (unchanging.test(from)) await linkOrCopy(from, to)
  else await copyFile(from, to, constants.COPYFILE_FICLONE)
}
