/** Writes a file of ours into an output directory: whole or not at all. */
import { chown, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ownOwner } from '../owner.ts'
import type { Owner } from './results.ts'

/** @returns its path */
export async function writeOwnFile(
  directory: string,
  name: string,
  text: string,
  owner: Owner | undefined,
): Promise<string> {
  const path = join(directory, name)
  // The next one who publishes here removes it when this process dies.
  const part = join(directory, `.#${name}.${ownOwner()}.part`)
  try {
    await writeFile(part, text)
    if (owner !== undefined) await chown(part, owner.uid, owner.gid)
    await rename(part, path)
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
  return path
}
