/** Which tree a build started from: enough to tell two builds with different bases apart. */
import { createHash } from 'node:crypto'
import { NspawnError } from '../errors.ts'
import { readOsRelease } from '../images/os-release.ts'
import { digestFiles } from './digest-files.ts'
import type { Installer } from './installers/installer.ts'

export interface BaseTree {
  readonly path: string
  /** `ID`, `VERSION_ID` and `VERSION_CODENAME` of its os-release, where it has them. */
  readonly os: {
    readonly id: string | undefined
    readonly version: string | undefined
    readonly codename: string | undefined
  }
  /** Digest of os-release, the package database, and what says where packages come from. */
  readonly identity: string
}

/**
 * Describes the tree at `path`.
 *
 * @param installer its package manager; without one the os-release alone tells it from others
 */
export async function describeTree(
  path: string,
  installer: Pick<Installer, 'database' | 'configuration'> | undefined,
): Promise<BaseTree> {
  const release = readOsRelease(path) ?? {}
  const { database = [], configuration = [] } = installer ?? {}
  const { ID: id, VERSION_ID: version, VERSION_CODENAME: codename } = release
  const digests = await Promise.all([
    digestFiles(path, database, { directories: 'names' }),
    digestFiles(path, configuration, { directories: 'files' }),
  ])
  return {
    path,
    os: { id, version, codename },
    identity: createHash('sha256')
      .update([JSON.stringify(release), ...digests].join('\0'))
      .digest('hex'),
  }
}

/**
 * The tree at `path`, which must have a certain package manager.
 *
 * @param why what it is needed for, to end the sentence "the tree has no apt: …"
 * @throws NspawnError `INVALID_TREE`
 */
export async function describeTreeWith(
  path: string,
  installer: Installer,
  why: string,
  hint: string,
): Promise<BaseTree> {
  if (installer.isIn(path)) return describeTree(path, installer)
  throw new NspawnError(`the tree has no ${installer.id}: ${why}`, {
    code: 'INVALID_TREE',
    operation: 'look at tree',
    subject: path,
    hint,
  })
}
