/** Brings a directory with a PKGBUILD into a layer of the build, with what makepkg wants to find beside it. */
import { chmod, chown, copyFile, lstat, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NspawnError } from '../../errors.ts'
import { quote } from '../build-log.ts'
import { missing } from '../../read-if-there.ts'
import { copySourceTree } from '../copy-source-tree.ts'
import { buildUserId } from '../places.ts'
import type { ArchOptions } from './plan.ts'
import {
  homeDirectory,
  keysDirectory,
  logsDirectory,
  packagesDirectory,
  sourcePackagesDirectory,
  sourcesDirectory,
  startDirectory,
  userConfiguration,
} from './places.ts'

export interface StageRequest {
  /** Absolute path of a directory with a PKGBUILD. */
  readonly source: string
  /** Absolute paths of key files, or of directories of them, besides `keys/pgp` of the source. */
  readonly keyrings: readonly string[]
  readonly options: ArchOptions
  /** Absolute; an empty directory that becomes a layer. */
  readonly layer: string
  readonly signal: AbortSignal | undefined
}

export interface StagedDirectory {
  readonly files: number
  readonly treeSha256: string
  /** Seconds since 1970 when the PKGBUILD was changed last. */
  readonly changed: number
  /** Names of key files in the directory of keys. */
  readonly keys: readonly string[]
}

/**
 * Copies the directory; what is in it is not looked at, for a PKGBUILD is a program.
 *
 * @throws NspawnError `SOURCE_FETCH`, `SOURCE_INVALID`, `KEYRING_NOT_FOUND`, `CANCELED`
 */
export async function stageDirectory(request: StageRequest): Promise<StagedDirectory> {
  const { source, layer, options, keyrings, signal } = request
  const own = [
    homeDirectory,
    sourcesDirectory,
    packagesDirectory,
    sourcePackagesDirectory,
    logsDirectory,
    dirname(dirname(userConfiguration)),
    dirname(userConfiguration),
  ]
  for (const path of own) await makeOwn(join(layer, path))
  const wishes = { owner: buildUserId, versionControl: 'left-out' } as const
  const { files, sha256 } = await copySource(source, join(layer, startDirectory), wishes, signal)
  const flags = options.environment['MAKEFLAGS'] ?? `-j${options.jobs}`
  await writeFile(join(layer, userConfiguration), `MAKEFLAGS=${quote(flags)}\n`)
  const facts = await lstat(join(layer, startDirectory, 'PKGBUILD')).catch(missing)
  if (facts === undefined) {
    throw new NspawnError('there is no PKGBUILD in the directory', {
      code: 'SOURCE_INVALID',
      operation: 'read source',
      subject: source,
    })
  }
  const beside = join(layer, startDirectory, 'keys/pgp')
  const keys = await stageKeys(
    [...((await isDirectory(beside)) ? [beside] : []), ...keyrings],
    layer,
  )
  return { files, treeSha256: sha256, changed: Math.floor(facts.mtimeMs / 1000), keys }
}

async function copySource(
  source: string,
  destination: string,
  wishes: Parameters<typeof copySourceTree>[2],
  signal: AbortSignal | undefined,
): ReturnType<typeof copySourceTree> {
  try {
    return await copySourceTree(source, destination, wishes, signal)
  } catch (error) {
    const { code, syscall, path } = error as NodeJS.ErrnoException
    if (error instanceof NspawnError || code === undefined || !/^E[A-Z]+$/.test(code)) throw error
    const ours = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(code)
    throw new NspawnError('cannot take the source in', {
      code: ours ? code : 'SOURCE_FETCH',
      operation: syscall,
      subject: path,
      cause: ours ? undefined : new NspawnError('the system refused', { code }),
    })
  }
}

/** Copies key files, under names that tell nothing and clash with nothing. */
async function stageKeys(places: readonly string[], layer: string): Promise<readonly string[]> {
  const files = (await Promise.all(places.map(keyFiles))).flat()
  const directory = join(layer, keysDirectory)
  await mkdir(directory)
  await chmod(directory, 0o755)
  const names = files.map((path, index) => `${index}-${basename(path).replaceAll(/[^\w.-]/g, '_')}`)
  for (const [index, name] of names.entries()) {
    await copyFile(files[index] ?? '', join(directory, name))
    await chmod(join(directory, name), 0o644)
  }
  return names
}

async function keyFiles(place: string): Promise<readonly string[]> {
  try {
    if (!(await stat(place)).isDirectory()) return [place]
    const entries = await readdir(place, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => join(place, name))
      .toSorted()
  } catch (error) {
    throw new NspawnError('cannot read the keys', {
      code: 'KEYRING_NOT_FOUND',
      operation: (error as NodeJS.ErrnoException).syscall,
      subject: place,
    })
  }
}

async function isDirectory(path: string): Promise<boolean> {
  // A link may lead out of the source: it is not followed.
  return lstat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  )
}

async function makeOwn(path: string): Promise<void> {
  await mkdir(path)
  await chmod(path, 0o755)
  await chown(path, buildUserId, buildUserId)
}
