/** Which tree a build started from: enough to tell two builds with different bases apart. */
import { createHash } from 'node:crypto'
import { NspawnError } from '../errors.ts'
import { readOsRelease } from '../images/os-release.ts'
import { findInTree, readTreeFile } from './tree-path.ts'

export interface BaseTree {
  readonly path: string
  /** `ID`, `VERSION_ID` and `VERSION_CODENAME` of its os-release, where it has them. */
  readonly os: {
    readonly id: string | undefined
    readonly version: string | undefined
    readonly codename: string | undefined
  }
  /** Digest of os-release, the package database and the package sources. */
  readonly identity: string
}

/**
 * Describes the Debian tree at `path`.
 *
 * @throws NspawnError `INVALID_TREE` when it has no apt or no package database
 */
export async function describeDebianTree(path: string): Promise<BaseTree> {
  const release = readOsRelease(path) ?? {}
  const status = await readTreeFile(path, 'var/lib/dpkg/status')
  if (status === undefined || findInTree(path, 'usr/bin/apt-get') === undefined) {
    throw new NspawnError(
      'the tree has no apt and dpkg: Debian packages are built in trees of the Debian family',
      {
        code: 'INVALID_TREE',
        operation: 'look at tree',
        subject: path,
        hint: 'make one with "tsnspawn-build create debian"',
      },
    )
  }
  const sources = (await readTreeFile(path, 'etc/apt/sources.list')) ?? ''
  const { ID: id, VERSION_ID: version, VERSION_CODENAME: codename } = release
  return {
    path,
    os: { id, version, codename },
    identity: createHash('sha256')
      .update([JSON.stringify(release), status, sources].join('\0'))
      .digest('hex'),
  }
}
