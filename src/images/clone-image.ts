/** A second image with the contents of a first: whole or not there, and living on by itself. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  openSync,
  realpathSync,
  statSync,
} from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { matchWrittenInPlace } from '../sys/inode-flags.ts'
import { copyContents } from '../sys/reflink.ts'
import { startCopyThreads } from './copy-threads.ts'
import { standardImagePath, type Image } from './discover.ts'
import { fillTree } from './fill-tree.ts'
import { holdImage } from './lock.ts'
import { checkNewName, stageImage, type NewImage, type SideMove } from './new-image.ts'
import { renamedSideFile, sideFilesOf } from './side-files.ts'

export interface CloneOptions {
  /** Where the new image goes. */
  readonly directory: string
  readonly name: string
  readonly access: NewImage['access']
  readonly log: LogSink
  readonly signal?: AbortSignal | undefined
}

export interface ClonedImage {
  readonly path: string
  readonly how: 'snapshot' | 'copy'
}

/**
 * Copies an image with the files that belong to it. One that is in use is copied as it is at that
 * moment; only of a snapshot that means the same moment for all its files. Of the host's own tree, what
 * lies in the machines directory does not come along.
 *
 * @throws NspawnError as `checkNewImage()`; `NOT_SUPPORTED` for block devices, `CANCELED`, `ENOSPC`
 */
export async function cloneImage(
  image: Image,
  options: CloneOptions,
  cleanup: CleanupStack,
): Promise<ClonedImage> {
  if (image.type === 'block') {
    throw new NspawnError(`image ${image.name} is a block device, which cannot be cloned`, {
      code: 'NOT_SUPPORTED',
      operation: 'clone image',
      subject: image.path,
    })
  }
  const { directory, name, access, log, signal } = options
  checkNewName(name)
  const taken = lstatSync(join(directory, name), { throwIfNoEntry: false })
  // An empty directory waits for a tree that is made, but is an image for all that.
  if (taken !== undefined) {
    throw new NspawnError(`there is something at ${join(directory, name)} already`, {
      code: 'IMAGE_EXISTS',
      operation: 'clone image',
      hint: 'choose another name, or remove it first',
    })
  }
  const kind = image.type === 'raw' ? 'disk' : 'tree'
  const stage = stageImage(
    { directory, name, kind, existing: 'keep', access, sync: 'no', top: 'caller' },
    cleanup,
    log,
  )
  // The host's own tree is always in use.
  const inUse = holdImage(image.path, cleanup) || image.path === '/'
  const how =
    kind === 'disk'
      ? await copyDisk(image.path, stage.path, options)
      : await cloneTree(image.path, stage.path, options)
  if (inUse && how === 'copy') {
    log({
      kind: 'warning',
      text: `${image.name} is in use: files that were written meanwhile may not fit together`,
    })
  }
  throwIfCanceled(signal, 'cloning an image')
  const more: SideMove[] = []
  for (const file of sideFilesOf(image)) {
    // A link that leads nowhere says nothing about the image.
    if (!existsSync(file.path)) continue
    const beside = dirname(file.path) === dirname(image.path)
    // An administrator's settings hold for the standard directories alone.
    if (!beside && !standardImagePath.includes(directory)) continue
    const staged = beside ? stage.sideFile(file.suffix) : join(stage.directory, `${more.length}`)
    // What verity needs is large: meanwhile signals are heard.
    await copyFile(file.path, staged)
    chmodSync(staged, 0o644)
    if (!beside) more.push({ from: staged, to: renamedSideFile(file, name) })
  }
  return { path: await stage.publish({ more, signal }), how }
}

async function cloneTree(
  source: string,
  target: string,
  { directory, log, signal }: CloneOptions,
): Promise<'snapshot' | 'copy'> {
  const [tree, pool] = [realpathSync(source), realpathSync(directory)]
  const leaveOut = tree === '/' || pool.startsWith(`${tree}/`) ? pool : undefined
  try {
    return await fillTree(tree, target, { log, signal, leaveOut, startThreads: startCopyThreads })
  } catch (error) {
    throw noRoom(error, directory)
  }
}

/** Blocks are shared where the file system can; holes stay holes. */
async function copyDisk(
  source: string,
  target: string,
  { log, signal }: CloneOptions,
): Promise<'copy'> {
  const from = openSync(source, 'r')
  try {
    const to = openSync(target, 'wx', 0o644)
    try {
      matchWrittenInPlace(from, to)
      const { size, blocks } = statSync(source)
      const state = { clone: true, range: true }
      for (const _ of copyContents(from, to, size, blocks, state)) {
        await new Promise((resolve) => setImmediate(resolve))
        throwIfCanceled(signal, 'cloning an image')
        log({
          kind: 'progress',
          text: `copying ${source}`,
          done: fstatSync(to).blocks * 512,
          total: blocks * 512,
          unit: 'bytes',
        })
      }
    } finally {
      closeSync(to)
    }
  } catch (error) {
    throw noRoom(error, dirname(target))
  } finally {
    closeSync(from)
  }
  return 'copy'
}

function noRoom(error: unknown, directory: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new NspawnError('there is no room for the clone', {
    code,
    operation: 'clone image',
    subject: directory,
    cause: error,
    hint:
      code === 'ENOSPC'
        ? `make room in ${directory}`
        : 'the limit of the image or of all images stands in the way: raise it with "tsnspawn-build set-limit"',
  })
}
