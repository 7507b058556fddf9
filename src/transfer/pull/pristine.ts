/**
 * Pristine copies of downloads: kept as they came, read-only and hidden, so that the next pull of the same file needs
 * none. Beside each lies what is known of its download, with which a later pull checks it as if it came anew: a copy
 * that was taken unchecked never passes for a checked one.
 */
import {
  closeSync,
  fstatSync,
  futimesSync,
  openSync,
  readFileSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { startCopyThreads } from '../../images/copy-threads.ts'
import { findImage } from '../../images/discover.ts'
import { refillTree } from '../../images/fill-tree.ts'
import { lockImage } from '../../images/lock.ts'
import { identityOf } from '../../images/name-change.ts'
import type { ImageStage } from '../../images/new-image.ts'
import { removeImage } from '../../images/remove-image.ts'
import type { LogSink } from '../../log.ts'
import { BTRFS_SUPER_MAGIC } from '../../sys/btrfs.ts'
import { matchWrittenInPlace } from '../../sys/inode-flags.ts'
import { cloneFile, copyContents } from '../../sys/reflink.ts'
import { throwIfCanceled } from '../../errors.ts'
import type { PullKind } from './address.ts'
import { findPristine } from './pristine-name.ts'
import type { Origin } from './provenance.ts'

/** What was downloaded: the bytes as they came over the network. */
export interface DownloadRecord extends Origin {
  readonly sha256: string
  readonly sizeBytes: number
}

/** A copy that can stand for a download. */
export interface UsablePristine {
  readonly path: string
  readonly etag: string
  readonly download: DownloadRecord
}

/** The record names the copy that it is about, lest it be taken for that of another one under the same name. */
interface StoredRecord extends DownloadRecord {
  /** See `identityOf()`. */
  readonly image: string
}

/** Writes the record of the copy in `stage`, to be published with it. */
export function writeRecord(stage: ImageStage, download: DownloadRecord): void {
  const record: StoredRecord = { ...download, image: identityOf(stage.path)! }
  writeFileSync(stage.sideFile('.download'), `${JSON.stringify(record)}\n`, { mode: 0o600 })
}

/** The copies of a URL of which is known what was downloaded. */
export function usablePristine(directory: string, kind: PullKind, url: string): UsablePristine[] {
  return findPristine(directory, kind, url).flatMap(({ name, etag }) => {
    const path = join(directory, kind === 'raw' ? `${name}.raw` : name)
    const download = readRecord(join(directory, `${name}.download`))
    return download !== undefined && download.image === identityOf(path)
      ? [{ path, etag, download }]
      : []
  })
}

/** Removes a copy, should it be there. @param name without `.raw` */
export async function removePristine(directory: string, name: string, log: LogSink): Promise<void> {
  const copy = findImage(name, directory)
  if (copy !== undefined) await removeImage(copy, log)
}

/** Makes the copy's image in `stage` anew, sharing its blocks where the file system can. */
export async function copyPristine(
  path: string,
  kind: PullKind,
  stage: ImageStage,
  { log, signal }: { readonly log: LogSink; readonly signal: AbortSignal },
): Promise<void> {
  const lock = lockImage(path, 'shared')
  try {
    if (kind === 'raw') return await copyFile(path, stage.path, signal)
    await refillTree(path, stage.path, { log, signal, startThreads: startCopyThreads })
  } finally {
    lock.release()
  }
}

/** Whether copies below `directory` take no space, and hardly any time. */
export function copiesAreFree(directory: string, kind: PullKind): boolean {
  if (statfsSync(directory).type === BTRFS_SUPER_MAGIC) return true
  if (kind === 'tar') return false
  const paths = ['clone-from', 'clone-to'].map((name) => join(directory, name))
  writeFileSync(paths[0]!, Buffer.alloc(4096, 'x'))
  const [from, to] = paths.map((path) => openSync(path, 'a+')) as [number, number]
  try {
    return cloneFile(from, to)
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

async function copyFile(source: string, target: string, signal: AbortSignal): Promise<void> {
  const from = openSync(source, 'r')
  const to = openSync(target, 'wx', 0o644)
  try {
    matchWrittenInPlace(from, to)
    const { size, blocks, atime, mtime } = fstatSync(from)
    const pieces = copyContents(from, to, size, blocks, { clone: true, range: true })
    while (pieces.next().done !== true) {
      throwIfCanceled(signal, 'copying the image')
      await new Promise((resolve) => setImmediate(resolve))
    }
    futimesSync(to, atime, mtime)
  } finally {
    closeSync(from)
    closeSync(to)
  }
}

function readRecord(path: string): StoredRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as StoredRecord
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT')
      return undefined
    throw error
  }
}
