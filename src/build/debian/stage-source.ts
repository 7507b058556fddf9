/**
 * Brings a source package into a layer of the build: fetched or copied, every file checked against the
 * `.dsc`, the `.dsc` against its signature or a signed index. Nothing of it is unpacked on the host.
 */
import { chmod, chown, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { NspawnError } from '../../errors.ts'
import { silent } from '../../log.ts'
import { download } from '../../transfer/download.ts'
import { besideUrl, urlFileName, withoutSecrets } from '../../transfer/url.ts'
import { readAptSuites } from '../installers/apt-sources.ts'
import { buildUserId } from '../places.ts'
import { checkDscSignature, type DscSignature } from './dsc-signature.ts'
import { isPlainName, type ListedFile } from './file-list.ts'
import { buildDirectory } from './places.ts'
import { parseDsc, type Dsc } from './source-control.ts'
import { findSource } from './source-index.ts'
import { stageDirectory } from './stage-directory.ts'
import {
  fileLimitBytes,
  invalid,
  type StagedFile,
  type StagedSource,
  type StageRequest,
} from './staged-source.ts'

const dscLimitBytes = 4 * 1024 ** 2

/**
 * Stages the source.
 *
 * @throws NspawnError with a `SOURCE_…` code: `SOURCE_FETCH`, `SOURCE_INVALID`, `SOURCE_CHECKSUM`,
 *   `SOURCE_SIGNATURE`, `SOURCE_NOT_FOUND`; `CANCELED` and the disk's own codes stay what they are
 */
export async function stageSource(request: StageRequest): Promise<StagedSource> {
  await makeBuildDirectory(request.layer)
  try {
    const { source } = request
    switch (source.kind) {
      case 'directory':
        return await stageDirectory(request, source)
      case 'dsc-file':
        return await stagePackage(request, pathToFileURL(source.path))
      case 'dsc-url':
        return await stagePackage(request, source.url)
      case 'name':
        return await stageByName(request, source.name, source.version)
    }
  } catch (error) {
    throw asSourceError(error)
  }
}

async function makeBuildDirectory(layer: string): Promise<void> {
  const top = join(layer, dirname(buildDirectory))
  const inner = join(layer, buildDirectory)
  await mkdir(inner, { recursive: true })
  await chmod(layer, 0o755)
  await chmod(top, 0o755)
  await chmod(inner, 0o755)
  await chown(inner, buildUserId, buildUserId)
}

async function stageByName(
  request: StageRequest,
  name: string,
  version: string | undefined,
): Promise<StagedSource> {
  const { signal, log, cache } = request
  const found = await findSource({
    name,
    version,
    suites: await readAptSuites(request.tree),
    cache,
    signal,
    log,
  })
  const url = besideUrl(new URL('x', found.directory), found.dsc.name)
  return stagePackage(request, url, found.dsc, { state: 'index', signers: found.signers })
}

async function stagePackage(
  request: StageRequest,
  url: URL,
  promised?: ListedFile,
  vouched?: DscSignature,
): Promise<StagedSource> {
  const log = request.log ?? silent
  const place = join(request.layer, buildDirectory)
  const dscName = urlFileName(url)
  if (!isPlainName(dscName)) throw invalid(`not a plain file name: ${dscName}`, withoutSecrets(url))
  const fetchOne = async (name: string, from: URL, expected?: ListedFile): Promise<StagedFile> => {
    log({ kind: 'step', text: `${from.protocol === 'file:' ? 'copying' : 'fetching'} ${name}` })
    const destination = join(place, name)
    const got = await download({
      url: from,
      destination,
      sha256: expected?.sha256,
      sizeBytes: expected?.sizeBytes,
      maxBytes: expected === undefined ? dscLimitBytes : fileLimitBytes,
      signal: request.signal,
      log,
    })
    await chmod(destination, 0o644)
    await chown(destination, buildUserId, buildUserId)
    return {
      name,
      ...got,
      from: from.protocol === 'file:' ? decodeURIComponent(from.pathname) : withoutSecrets(from),
    }
  }
  const first = await fetchOne(dscName, url, promised)
  const raw = await readFile(join(place, dscName), 'utf8')
  const { text, signature } = await checkDscSignature(raw, first.from, request.policy, vouched, log)
  const dsc = parseDsc(text, dscName)
  checkFiles(dsc, dscName)
  const files = [first]
  for (const file of dsc.files)
    if (request.upstream !== 'left-out' || !/\.orig(-[A-Za-z0-9-]+)?\.tar\./.test(file.name))
      files.push(await fetchOne(file.name, besideUrl(url, file.name), file))
  return {
    control: dsc,
    origin: first.from,
    form: { kind: 'package', dsc: dscName },
    files,
    treeSha256: undefined,
    signature,
  }
}

function checkFiles(dsc: Dsc, dscName: string): void {
  if (dsc.files.some(({ name }) => name === dscName))
    throw invalid('it names itself as one of its files', dscName)
  if (dsc.files.length === 0) throw invalid('it names no files', dscName)
}

/** What went wrong with the source, in the source's own class; the disk and Ctrl-C are not its fault. */
function asSourceError(error: unknown): unknown {
  if (!(error instanceof NspawnError)) {
    const { code, syscall, path } = error as NodeJS.ErrnoException
    if (code === undefined || !/^E[A-Z]+$/.test(code)) return error
    const ours = ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(code)
    return new NspawnError('cannot take the source in', {
      code: ours ? code : 'SOURCE_FETCH',
      operation: syscall,
      subject: path,
      cause: ours ? undefined : new NspawnError('the system refused', { code }),
    })
  }
  const { code } = error
  if (code.startsWith('SOURCE_') || ['CANCELED', 'ENOSPC', 'EDQUOT'].includes(code)) return error
  const wrapped = (as: string, hint?: string) =>
    new NspawnError('cannot use the source package', { code: as, hint, cause: error })
  if (['SIGNATURE_INVALID', 'SIGNER_UNKNOWN', 'INDEX_REFUSED'].includes(code ?? ''))
    return wrapped('SOURCE_SIGNATURE')
  if (code === 'CHECKSUM_MISMATCH' || code === 'SIZE_MISMATCH') {
    return wrapped(
      'SOURCE_CHECKSUM',
      'the file is not the one that the source package names: get both again',
    )
  }
  if (['BAD_CONTROL', 'BAD_ARMOUR', 'BAD_URL', 'BAD_COMPRESSION', 'TOO_LARGE'].includes(code))
    return wrapped('SOURCE_INVALID')
  return wrapped('SOURCE_FETCH')
}
