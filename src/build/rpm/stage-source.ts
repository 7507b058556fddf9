/**
 * Brings an rpm source into a layer of the build: a source package as it is, or a spec with the files
 * beside it. What the spec wants to have from the network is fetched when rpm has expanded its names.
 * Nothing of it is unpacked or executed on the host.
 */
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  readdir,
  readFile,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { constants } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { NspawnError, throwIfCanceled } from '../../errors.ts'
import { hashFile } from '../../hash-file.ts'
import { silent, type LogSink } from '../../log.ts'
import { missing } from '../../read-if-there.ts'
import { download } from '../../transfer/download.ts'
import { parseUrl, urlFileName, withoutSecrets } from '../../transfer/url.ts'
import { buildUserId } from '../places.ts'
import { parseSourcesFile, type Checksum } from './checksums.ts'
import {
  homeDirectory,
  originalsDirectory,
  sourcesDirectory,
  specsDirectory,
  topDirectories,
  topDirectory,
} from './places.ts'
import type { RpmSource } from './source-argument.ts'

export interface StagedFile {
  readonly name: string
  /** Path or URL that it came from, without passwords. */
  readonly from: string
  readonly sizeBytes: number
  readonly sha256: string
}

export interface StagedSource {
  /** What was asked for, as a path or URL. */
  readonly origin: string
  /** The name of the file that was given. */
  readonly name: string
  readonly form: 'spec' | 'package'
  readonly files: readonly StagedFile[]
  /** Of the file `sources`; none where there is none. */
  readonly checksums: readonly Checksum[]
}

export interface StageRequest {
  readonly source: RpmSource
  /** Absolute; an empty directory that becomes a layer. */
  readonly layer: string
  readonly signal?: AbortSignal | undefined
  readonly log?: LogSink | undefined
}

/** More than any source file that a distribution has. */
const fileLimitBytes = 16 * 1024 ** 3
const checksumsLimitBytes = 4 * 1024 ** 2

/** Where results and times would depend on who builds when, they depend on the changelog instead. */
const macros = [
  `%_topdir ${topDirectory}`,
  '%_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
  '%_buildhost build',
  '%source_date_epoch_from_changelog 1',
  '%use_source_date_epoch_as_buildtime 1',
  '%clamp_mtime_to_source_date_epoch 1',
  '',
].join('\n')

/**
 * Stages what was given.
 *
 * @throws NspawnError `SOURCE_FETCH`, `SOURCE_INVALID`, `SOURCE_CHECKSUM`, `CANCELED`, the disk's own codes
 */
export async function stageSource(request: StageRequest): Promise<StagedSource> {
  const { source, layer } = request
  try {
    await prepareHome(layer)
    if (source.kind === 'spec') return await stageSpec(request, source.path)
    const url = source.kind === 'package-file' ? pathToFileURL(source.path) : source.url
    const name = plainName(urlFileName(url))
    const file = await fetchFile(request, url, name, originalsDirectory)
    return { origin: file.from, name, form: 'package', files: [file], checksums: [] }
  } catch (error) {
    throw asSourceError(error)
  }
}

export interface WantedSources {
  /** As the spec names them: files, or URLs whose last part is the name of the file. */
  readonly sources: readonly string[]
  readonly checksums: readonly Checksum[]
  /** Where the build user's own files may lie, as an unpacked source package: a layer above `layer`. */
  readonly upper: string
}

/**
 * Fetches the sources that are not there, and checks all for which there is a checksum.
 *
 * @returns what was fetched
 * @throws NspawnError `SOURCE_NOT_FOUND` for one without a URL; as `stageSource()`
 */
export async function fetchSources(
  request: Omit<StageRequest, 'source'>,
  { sources, checksums, upper }: WantedSources,
): Promise<readonly StagedFile[]> {
  const { layer, signal, log = silent } = request
  const fetched: StagedFile[] = []
  const expected = new Map(checksums.map((one) => [one.name, one]))
  try {
    for (const source of sources) {
      const name = plainName(basename(source))
      const places = [layer, upper].map((root) => join(root, sourcesDirectory, name))
      const there = await Promise.all(places.map((path) => lstat(path).catch(missing)))
      if (there.some((facts) => facts !== undefined)) continue
      const url = sourceUrl(source, name)
      const file = await fetchFile(request, url, name, sourcesDirectory)
      fetched.push(file)
      if (!expected.has(name)) {
        const text = `nothing but the connection vouches for ${name}: there is no checksum of it beside the spec`
        log({ kind: 'notice', text })
      }
    }
    for (const { name, algorithm, digest } of checksums) {
      const path = join(layer, sourcesDirectory, name)
      if ((await lstat(path).catch(missing))?.isFile() !== true) continue
      const found = await hashFile(path, signal, algorithm)
      if (found === digest) continue
      throw new NspawnError(`the ${algorithm} of ${name} is ${found}, promised was ${digest}`, {
        code: 'SOURCE_CHECKSUM',
        operation: 'check sources',
        subject: name,
        hint: 'the file is not the one that "sources" names: get both again',
      })
    }
  } catch (error) {
    throw asSourceError(error)
  }
  return fetched
}

async function prepareHome(layer: string): Promise<void> {
  await chmod(layer, 0o755)
  const below = topDirectories.map((name) => `${topDirectory}/${name}`)
  for (const path of [homeDirectory, topDirectory, ...below, originalsDirectory]) {
    await mkdir(join(layer, path))
    await chmod(join(layer, path), 0o755)
    await own(join(layer, path))
  }
  const path = join(layer, homeDirectory, '.rpmmacros')
  await writeFile(path, macros)
  await chmod(path, 0o644)
  await own(path)
}

/** Copies the spec, and the files that may be its sources; directories and special files are none. */
async function stageSpec(request: StageRequest, spec: string): Promise<StagedSource> {
  const { layer, signal, log = silent } = request
  const name = plainName(basename(spec))
  const directory = dirname(spec)
  log({ kind: 'step', text: `copying ${directory}` })
  const files = [await takeIn(spec, join(layer, specsDirectory, name))]
  const beside = await sourcesBeside(directory)
  for (const entry of (await readdir(beside)).toSorted()) {
    throwIfCanceled(signal, 'copying the sources')
    const from = join(beside, entry)
    // A link may lead to what nobody meant to give away.
    if (!(await lstat(from)).isFile() || entry.endsWith('.spec')) continue
    files.push(await takeIn(from, join(layer, sourcesDirectory, entry)))
  }
  const checksums = await readChecksums(join(layer, sourcesDirectory, 'sources'))
  return { origin: spec, name, form: 'spec', files, checksums }
}

/** rpmbuild's own layout has the sources in a directory beside that of the specs. */
async function sourcesBeside(directory: string): Promise<string> {
  if (basename(directory) !== 'SPECS') return directory
  const path = join(dirname(directory), 'SOURCES')
  return (await lstat(path).catch(missing))?.isDirectory() === true ? path : directory
}

async function takeIn(from: string, to: string): Promise<StagedFile> {
  const facts = await lstat(from)
  await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
  await chmod(to, (facts.mode & 0o100) === 0 ? 0o644 : 0o755)
  await own(to)
  await utimes(to, facts.atime, facts.mtime)
  return { name: basename(to), from, sizeBytes: facts.size, sha256: await hashFile(to) }
}

async function readChecksums(path: string): Promise<readonly Checksum[]> {
  const facts = await lstat(path).catch(missing)
  if (facts === undefined || facts.size > checksumsLimitBytes) return []
  return parseSourcesFile(await readFile(path, 'utf8'))
}

async function fetchFile(
  { layer, signal, log = silent }: Omit<StageRequest, 'source'>,
  url: URL,
  name: string,
  directory: string,
): Promise<StagedFile> {
  const local = url.protocol === 'file:'
  log({ kind: 'step', text: `${local ? 'copying' : 'fetching'} ${name}` })
  const destination = join(layer, directory, name)
  const maxBytes = fileLimitBytes
  const { sizeBytes, sha256 } = await download({ url, destination, maxBytes, signal, log })
  await chmod(destination, 0o644)
  await own(destination)
  const from = local ? decodeURIComponent(url.pathname) : withoutSecrets(url)
  return { name, from, sizeBytes, sha256 }
}

/** Where to fetch a source from that is not there; never a file of the host. */
function sourceUrl(source: string, name: string): URL {
  if (/^https?:\/\//i.test(source)) return parseUrl(source.replace(/#\/[^#]*$/, ''))
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(source)?.[1]
  throw new NspawnError(`there is no source file ${name}`, {
    code: 'SOURCE_NOT_FOUND',
    operation: 'find sources',
    subject: source,
    hint:
      scheme === undefined
        ? 'put it beside the spec; where a distribution keeps it elsewhere, its own tool fetches it'
        : `sources are fetched by http and https, not by ${scheme}: put it beside the spec`,
  })
}

function plainName(name: string): string {
  if (/^[A-Za-z0-9_+@][\w.+~@^:=,-]*$/.test(name)) return name
  throw new NspawnError(`not a plain file name: ${JSON.stringify(name)}`, {
    code: 'SOURCE_INVALID',
    operation: 'read source',
    subject: name,
  })
}

async function own(path: string): Promise<void> {
  await chown(path, buildUserId, buildUserId)
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
  return new NspawnError('cannot get the source', { code: 'SOURCE_FETCH', cause: error })
}
