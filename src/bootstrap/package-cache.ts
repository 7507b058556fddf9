/**
 * Packages that were downloaded once, kept below the state directory. Nobody writes into the pool: a run
 * links what it may need into its stage, and afterwards moves what is new into the pool by rename, so
 * runs at the same time need no lock. Pools are divided by mirror, since archives that people make by
 * hand give the same name to different packages.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import {
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  unlink,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import type { TreePlan } from './plan.ts'

/** A package that no tree has asked for in this long is dropped. */
const keepMs = 60 * 24 * 3600 * 1000

export function packagePool(stateDirectory: string, plan: TreePlan): string {
  const mirror = createHash('sha256').update(plan.mirror).digest('hex').slice(0, 12)
  return join(stateDirectory, 'cache', plan.recipe, mirror)
}

/**
 * Puts every package of the pool that fits the architecture into `directory`.
 *
 * @returns how many
 */
export async function linkFromPool(
  pool: string,
  directory: string,
  packageArchitecture: string,
): Promise<number> {
  const names = (await packagesIn(pool)).filter((name) =>
    new RegExp(`_(${packageArchitecture}|all)\\.deb$`).test(name),
  )
  for (const name of names) await linkOrCopy(join(pool, name), join(directory, name))
  return names.length
}

/**
 * Moves the packages of `directory` that the pool does not have into it, marks the others as used, and
 * drops what was not used for long. Data is on disk before its name is in the pool: apt trusts a file
 * of the right size.
 */
export async function returnToPool(pool: string, directory: string): Promise<void> {
  await mkdir(pool, { recursive: true, mode: 0o755 })
  const kept = new Set(await packagesIn(pool))
  const now = new Date()
  for (const name of await packagesIn(directory)) {
    if (kept.has(name)) {
      await utimes(join(pool, name), now, now)
      continue
    }
    const incoming = join(pool, `.${process.pid}.${name}`)
    try {
      await linkOrCopy(join(directory, name), incoming)
      await sync(incoming)
      await utimes(incoming, now, now)
      await rename(incoming, join(pool, name))
    } catch (error) {
      await rm(incoming, { force: true })
      throw error
    }
  }
  await dropOld(pool, now.getTime() - keepMs)
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
  for (const name of await readdir(pool)) {
    const path = join(pool, name)
    if ((await stat(path)).mtimeMs < before) await unlink(path)
  }
}

async function packagesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter(
      (name) => name.endsWith('.deb') && !name.startsWith('.'),
    )
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error
    await copyFile(from, to, constants.COPYFILE_FICLONE)
  }
}
