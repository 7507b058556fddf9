/**
 * Ready packages as a repository that a build's package manager prefers to all others: a layer with copies of
 * them, an index that is made here from what they say of themselves, and the manager's configuration for it. It is
 * there while dependencies are installed, and not in the build.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import { hashFile } from '../hash-file.ts'
import { missing } from '../read-if-there.ts'
import type { ReadyPackages } from './driver.ts'
import type { Installer } from './installers/installer.ts'
import { makeDirectories, putFile } from './prepare-root.ts'

/** Where the repository lies in containers, without the first slash; no tree has it, as a link least of all. */
export const repositoryDirectory = 'tsnspawn-packages'

/** What the repository is called wherever repositories have names. */
export const repositoryName = 'tsnspawn-build'

export interface PackageFacts {
  readonly name: string
  readonly version: string
  readonly architecture: string
  /** What else it satisfies, without versions. */
  readonly provides: readonly string[]
  /** What it needs where it is installed, as names of which any one is enough. */
  readonly requires: readonly (readonly string[])[]
  /** Its entry of the index, in the family's own form. */
  readonly entry: (file: RepositoryFile) => string
}

export interface RepositoryFile {
  /** Relative to the repository. */
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
}

export interface RepositoryPackage extends RepositoryFile {
  readonly facts: PackageFacts
}

export interface LocalRepository {
  /** Absolute host directory of a layer; it belongs above the toolchain's. */
  readonly layer: string
  readonly packages: readonly RepositoryPackage[]
  /** Tells it from others with other packages. */
  readonly digest: string
}

/**
 * Makes the repository.
 *
 * @param layer absolute; a directory that does not exist
 * @param tree the tree that the layer belongs to, whose directories keep their modes
 * @returns `undefined` where there are no packages
 * @throws NspawnError `INVALID_PACKAGE`, `INVALID_REPOSITORY`, `CANCELED`
 */
export async function makeLocalRepository(
  { id, repository }: Pick<Installer, 'id' | 'repository'>,
  ready: ReadyPackages,
  { layer, tree }: { readonly layer: string; readonly tree: string },
  signal: AbortSignal | undefined,
): Promise<LocalRepository | undefined> {
  const files = await findPackages(ready, (name) => repository.isPackage(name), id)
  if (files.length === 0) return undefined
  await mkdir(layer)
  await chmod(layer, 0o755)
  const packages: RepositoryPackage[] = []
  for (const [index, from] of files.entries()) {
    throwIfCanceled(signal, 'taking packages in')
    // Packages of one name may come from several places.
    const path = `${index}/${basename(from)}`
    await makeDirectories(tree, layer, `${repositoryDirectory}/${index}`)
    const place = join(layer, repositoryDirectory, path)
    await copyFile(from, place, constants.COPYFILE_FICLONE)
    await chmod(place, 0o644)
    const { size: sizeBytes } = await stat(place)
    const facts = await describe(repository.describe(place, signal), from)
    packages.push({ path, sizeBytes, sha256: await hashFile(place, signal), facts })
  }
  for (const { path, text, mode } of repository.files(packages))
    await putFile(tree, layer, path, text, mode)
  const digest = createHash('sha256')
    .update(packages.map(({ sha256 }) => sha256).join('\n'))
    .digest('hex')
  return { layer, packages, digest }
}

/** Host paths of the packages, each once, those that were named last at the end. */
async function findPackages(
  { files, directories }: ReadyPackages,
  isPackage: (name: string) => boolean,
  id: string,
): Promise<readonly string[]> {
  const found: string[] = []
  for (const directory of directories) {
    const names = await readdir(directory, { recursive: true })
    const paths: string[] = []
    for (const name of names.toSorted()) {
      const path = join(directory, name)
      if (isPackage(basename(name)) && (await stat(path).catch(missing))?.isFile() === true)
        paths.push(path)
    }
    if (paths.length === 0)
      throw new NspawnError(`there is no package for ${id} in the directory`, {
        code: 'INVALID_REPOSITORY',
        operation: 'look for packages',
        subject: directory,
      })
    found.push(...paths)
  }
  for (const path of files) {
    if (!isPackage(basename(path)))
      throw new NspawnError(`the file is no package for ${id}`, {
        code: 'INVALID_PACKAGE',
        operation: 'read package',
        subject: path,
      })
    found.push(path)
  }
  return [...new Set(found)]
}

async function describe(facts: Promise<PackageFacts>, from: string): Promise<PackageFacts> {
  try {
    return await facts
  } catch (error) {
    if (!(error instanceof NspawnError) || error.code === 'CANCELED') throw error
    throw new NspawnError('the package cannot be read', {
      code: 'INVALID_PACKAGE',
      operation: 'read package',
      subject: from,
      cause: error,
    })
  }
}
