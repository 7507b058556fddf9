/** What a build has to do with lock files before it begins and when it has ended. */
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { missing } from '../../read-if-there.ts'
import type { BuildRequest } from '../driver.ts'
import { readLockFile, writeLockFile, type BuildLock, type GivenLock } from './lock-file.ts'

/**
 * The lock that a build was given.
 *
 * @returns `undefined` where one is to be written, and can be
 * @throws NspawnError `INVALID_LOCK`, `INVALID_OUTPUT`, `NOT_SUPPORTED`
 */
export async function takeLock({ lock, packages }: BuildRequest): Promise<GivenLock | undefined> {
  if (lock === undefined) return undefined
  if ([...(packages?.files ?? []), ...(packages?.directories ?? [])].length > 0) {
    throw new NspawnError('a build root with ready packages cannot be locked', {
      code: 'NOT_SUPPORTED',
      operation: 'lock packages',
      hint: 'no archive has them: put them into one that the tree is configured with',
    })
  }
  if (lock.use === 'read') return readLockFile(lock.path)
  await requireDirectory(lock.path)
  return undefined
}

/** Writes the lock that a build has made where it was asked for. */
export async function leaveLock(
  { lock, owner }: Pick<BuildRequest, 'lock' | 'owner'>,
  made: BuildLock,
): Promise<void> {
  if (lock?.use === 'write') await writeLockFile(lock.path, made, owner)
}

/** A long build must not fail at its end for this. */
async function requireDirectory(path: string): Promise<void> {
  const [parent, facts] = await Promise.all(
    [dirname(path), path].map((one) => stat(one).catch(missing)),
  )
  if (parent?.isDirectory() === true && facts?.isDirectory() !== true) return
  throw new NspawnError('the lock file cannot be written there', {
    code: 'INVALID_OUTPUT',
    operation: 'write lock file',
    subject: path,
  })
}
