/** Upstream tarballs of a source directory: from beside it, or from where its source package has them. */
import { chmod, chown, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseVersion } from '../../bootstrap/debian/version.ts'
import { describeError, NspawnError } from '../../errors.ts'
import { silent } from '../../log.ts'
import { download } from '../../transfer/download.ts'
import { besideUrl, withoutSecrets } from '../../transfer/url.ts'
import { readAptSuites } from '../installers/apt-sources.ts'
import { buildUserId } from '../places.ts'
import type { ListedFile } from './file-list.ts'
import { buildDirectory } from './places.ts'
import type { DirectorySource } from './source-argument.ts'
import type { SourceControl } from './source-control.ts'
import { findSource } from './source-index.ts'
import {
  fileLimitBytes,
  type GitFacts,
  type StagedFile,
  type StageRequest,
} from './staged-source.ts'

/** Whether a source package cannot be made for want of them. */
export function lacksOriginal(
  { format, version }: Pick<SourceControl, 'format' | 'version'>,
  files: readonly unknown[],
): boolean {
  const { revision } = parseVersion(version)
  return files.length === 0 && (format === '3.0 (quilt)' || (format === '1.0' && revision !== ''))
}

/** Whether `name` is an upstream tarball, or the signature of one, of this upstream version. */
export function isOriginal(name: string, source: string, upstream: string): boolean {
  const stem = `${source}_${upstream}`
  return (
    name.startsWith(`${stem}.orig`) &&
    /^\.orig(-[A-Za-z0-9-]+)?\.tar\.(gz|xz|bz2|lzma|zst)(\.asc)?$/.test(name.slice(stem.length))
  )
}

/**
 * Puts them into the build directory.
 *
 * @param git of a checkout: then they are looked for in the archives of the tree, too
 * @throws NspawnError `SOURCE_INVALID` when a commit shall be built and there are none
 */
export async function findOriginals(
  request: StageRequest,
  { path }: DirectorySource,
  control: SourceControl,
  git: GitFacts | undefined,
): Promise<readonly StagedFile[]> {
  const beside = await fromBeside(request, path, control)
  if (git === undefined || request.upstream === 'left-out' || !lacksOriginal(control, beside))
    return beside
  const { files, why } = await fromArchives(request, control)
  if (files.length > 0 || git.taken === 'working tree') return files
  const { upstream } = parseVersion(control.version)
  throw new NspawnError(`there is no upstream tarball of ${control.name} ${upstream}`, {
    code: 'SOURCE_INVALID',
    operation: 'find upstream tarball',
    subject: path,
    hint: `put ${control.name}_${upstream}.orig.tar.* beside the directory (origtargz, uscan or, where there is a branch for it, pristine-tar make it), or give --working-tree to build what lies there as it is`,
    cause: why,
  })
}

async function fromBeside(
  request: StageRequest,
  path: string,
  { name, version }: SourceControl,
): Promise<readonly StagedFile[]> {
  const beside = dirname(path)
  const { upstream } = parseVersion(version)
  const files: StagedFile[] = []
  for (const candidate of (await readdir(beside)).toSorted()) {
    if (!isOriginal(candidate, name, upstream)) continue
    const from = join(beside, candidate)
    files.push(await take(request, candidate, pathToFileURL(from), from))
  }
  return files
}

/** Of any version of the source package with the same upstream part. */
async function fromArchives(
  request: StageRequest,
  { name, version }: SourceControl,
): Promise<{ readonly files: readonly StagedFile[]; readonly why?: NspawnError }> {
  const { tree, cache, signal, log = silent } = request
  const { upstream } = parseVersion(version)
  try {
    const suites = await readAptSuites(tree)
    const found = await findSource({ name, upstream, suites, cache, signal, log })
    const files: StagedFile[] = []
    for (const file of found.files) {
      if (!isOriginal(file.name, name, upstream)) continue
      const url = besideUrl(new URL('x', found.directory), file.name)
      log({ kind: 'step', text: `fetching ${file.name}` })
      files.push(await take(request, file.name, url, withoutSecrets(url), file))
    }
    return { files }
  } catch (error) {
    if (!(error instanceof NspawnError) || ['CANCELED', 'ENOSPC', 'EDQUOT'].includes(error.code))
      throw error
    log({ kind: 'notice', text: `the archives do not help: ${describeError(error)}` })
    return { files: [], why: error }
  }
}

async function take(
  { layer, signal }: StageRequest,
  name: string,
  url: URL,
  from: string,
  expected?: ListedFile,
): Promise<StagedFile> {
  const destination = join(layer, buildDirectory, name)
  const got = await download({
    url,
    destination,
    sha256: expected?.sha256,
    sizeBytes: expected?.sizeBytes,
    maxBytes: fileLimitBytes,
    signal,
  })
  await chmod(destination, 0o644)
  await chown(destination, buildUserId, buildUserId)
  return { name, ...got, from }
}
