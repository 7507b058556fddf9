/**
 * Brings a source directory into a layer of the build: as it lies there, or of a git checkout what has been committed.
 * Upstream tarballs come from beside it, and for checkouts from the archives.
 */
import { chown, mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { silent } from '../../log.ts'
import { fileVersion, parseVersion } from '../../bootstrap/debian/version.ts'
import { copySourceTree } from '../copy-source-tree.ts'
import { buildUserId } from '../places.ts'
import { readTreeFile } from '../tree-path.ts'
import { takeCheckout } from './git/take-checkout.ts'
import { findOriginals, lacksOriginal } from './originals.ts'
import { buildDirectory, sourceDirectory } from './places.ts'
import type { DirectorySource } from './source-argument.ts'
import { parseSourceTree, type SourceControl } from './source-control.ts'
import { invalid, type GitFacts, type StagedSource, type StageRequest } from './staged-source.ts'

/**
 * Stages the directory.
 *
 * @throws NspawnError `SOURCE_INVALID` and what reading and fetching throw
 */
export async function stageDirectory(
  request: StageRequest,
  source: DirectorySource,
): Promise<StagedSource> {
  const log = request.log ?? silent
  const { path } = source
  const parent = join(request.layer, sourceDirectory)
  await mkdir(parent, { recursive: true })
  const taken = join(parent, '.taken')
  const { control, sha256, git } = await takeDirectory(request, source, taken)
  const { upstream } = parseVersion(control.version)
  const files = await findOriginals(request, source, control, git)
  const unpacked = lacksOriginal(control, files)
  const name = `${control.name}-${upstream}`
  if (unpacked) {
    const place = join(request.layer, buildDirectory)
    await rename(taken, join(place, name))
    await chown(place, buildUserId, buildUserId)
    log({
      kind: 'notice',
      text: `there is no ${control.name}_${upstream}.orig.tar.* beside ${path}: the directory is built as it is`,
    })
  } else await rename(taken, join(parent, name))
  const dsc = `${control.name}_${fileVersion(control.version)}.dsc`
  return {
    control,
    origin: path,
    form: unpacked ? { kind: 'unpacked', name } : { kind: 'tree', name, dsc },
    files,
    treeSha256: sha256,
    git,
    signature: { state: 'none', why: 'a directory has no signature' },
  }
}

interface TakenDirectory {
  readonly control: SourceControl
  readonly sha256: string | undefined
  readonly git?: GitFacts | undefined
}

async function takeDirectory(
  request: StageRequest,
  source: DirectorySource,
  destination: string,
): Promise<TakenDirectory> {
  const { signal, layer, log = silent } = request
  const { path } = source
  const scratch = `${layer}.git-blobs`
  const place = { destination, scratch, owner: buildUserId }
  const checkout = await takeCheckout(source, place, log, signal)
  if (checkout !== undefined && checkout.isWanted === undefined)
    return {
      control: await readSourceTree(destination, path),
      sha256: undefined,
      git: checkout.git,
    }
  const control = await readSourceTree(path, path)
  log({ kind: 'step', text: `copying ${path}` })
  const { sha256 } = await copySourceTree(
    path,
    destination,
    { owner: buildUserId, versionControl: 'left-out', isWanted: checkout?.isWanted },
    signal,
  )
  return { control, sha256, git: checkout?.git }
}

/** @param origin for messages */
async function readSourceTree(path: string, origin: string): Promise<SourceControl> {
  const control = await readTreeFile(path, 'debian/control')
  const changelog = await readTreeFile(path, 'debian/changelog')
  if (control === undefined || changelog === undefined) {
    const name = control === undefined ? 'control' : 'changelog'
    throw invalid(`there is no debian/${name} in the directory`, origin)
  }
  return parseSourceTree(control, changelog, await readTreeFile(path, 'debian/source/format'))
}
