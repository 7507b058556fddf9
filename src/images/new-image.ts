/**
 * How every new image comes into being, wherever its contents come from: it is made under a hidden name,
 * locked by the process that makes it, and gets its own name when it is whole. What a killed process
 * left is removed by the next one that makes something in the same directory.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError, throwIfCanceled, usageError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { runProgram } from '../process.ts'
import { syncDirectory } from '../sync-directory.ts'
import { renameNew } from '../sys/at.ts'
import { findImage, imageSearchPath, isMarkedReadOnly } from './discover.ts'
import { exchangeTrees } from './exchange-trees.ts'
import { claimHiddenTree, removeStaleHiddenTrees, type HiddenTree } from './hidden-tree.ts'
import { lockImage, lockImageName } from './lock.ts'
import { changeNames, identityOf, knownFile, planMove, type NameChange } from './name-change.ts'
import { isImageName } from './names.ts'
import { mountsBelow } from './remove-tree.ts'
import { sideFilesBeside, sideFileSuffixes, type SideFileSuffix } from './side-files.ts'
import { joinPool } from './space.ts'
import { checkSubvolumes, makeTreeTop } from './tree-top.ts'

const NAME_MAX = 200

export interface NewImage {
  /** Absolute; made if need be. */
  readonly directory: string
  /** Without `.raw`. */
  readonly name: string
  readonly kind: 'tree' | 'disk'
  /** What to do when there is an image of that name already. */
  readonly existing: 'keep' | 'replace'
  readonly access: 'read-only' | 'read-write'
  /**
   * `yes`: all of it is on the disk before it gets its name, so that a power cut leaves no image that lacks
   * something. Waits for everything that is unwritten on that file system.
   */
  readonly sync: 'yes' | 'no'
  /**
   * `caller`: a tree's top directory is not made here, since a snapshot, say, makes it. `subvolume`: it must be one, which
   * it is else where that can be.
   */
  readonly top?: 'caller' | 'subvolume' | undefined
  /**
   * `everybody`: tools that give up root's rights on the way reach what is made. Default is that only its owner does,
   * since set-id programs of a stranger may be in it.
   */
  readonly reach?: 'everybody' | undefined
}

export interface ImageStage {
  /**
   * A tree's top directory, made already (on btrfs a subvolume) unless the caller does that; a disk image's
   * file, not there yet.
   */
  readonly path: string
  /** Hidden; other things that are needed on the way may lie in it, and go away with it. */
  readonly directory: string
  /** Where a side file is put, to be published with the image. Nothing is there yet. */
  sideFile(suffix: SideFileSuffix): string
  /**
   * Gives the image its name and the side files theirs, and puts the read-only mark on it. An image
   * that is replaced keeps its name up to the one moment in which the new one gets it, and goes away
   * afterwards with its side files; its settings stay unless new ones came.
   *
   * @returns the image's path
   * @throws NspawnError `IMAGE_EXISTS` when somebody else made one meanwhile, `EBUSY` when the image to
   *   be replaced is in use, `CANCELED`
   */
  publish(options?: PublishOptions): Promise<string>
}

export interface PublishOptions {
  /** Further files that get their names, and take the place of what is there. */
  readonly more?: readonly SideMove[] | undefined
  /** Counts up to the moment in which names are changed. */
  readonly signal?: AbortSignal | undefined
}

/** A file made in the stage, and the absolute path that it gets. */
export interface SideMove {
  readonly from: string
  readonly to: string
}

/** The path of the image that this makes. */
export function newImagePath({ directory, name, kind }: NewImage): string {
  return join(directory, kind === 'disk' ? `${name}.raw` : name)
}

/**
 * Whether the image can be made: its name is valid, and free or may be replaced. Asked before anything is
 * done, and asked again by `stageImage()`.
 *
 * @throws NspawnError `USAGE` for a name, `IMAGE_EXISTS`, `NOT_SUPPORTED` where there are no subvolumes, or `EBUSY` when
 *   the image to be replaced is in use or something is mounted there
 */
export function checkNewImage(image: NewImage): void {
  const { directory, name, kind, existing } = image
  checkNewName(name)
  if (image.top === 'subvolume') checkSubvolumes(directory)
  const path = newImagePath(image)
  const other = kind === 'disk' ? join(directory, name) : join(directory, `${name}.raw`)
  if (existsSync(other)) {
    const what = kind === 'disk' ? 'another image' : 'a disk image'
    throw new NspawnError(`there is ${what} called ${name} already`, {
      code: 'IMAGE_EXISTS',
      subject: other,
      hint: 'choose another name, or remove it first',
    })
  }
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return refuseSecond(image)
  if (mountsBelow(path).length > 0) {
    throw new NspawnError(`cannot make an image at ${path}: something is mounted there`, {
      code: 'EBUSY',
      hint: 'unmount it first, or choose another directory',
    })
  }
  if (!isTaken(path)) return refuseSecond(image)
  if (existing === 'keep') {
    throw new NspawnError(`there is something at ${path} already`, {
      code: 'IMAGE_EXISTS',
      hint: 'choose another name, or replace it with --force',
    })
  }
  if (isMarkedReadOnly(path)) {
    throw new NspawnError(`cannot replace ${path}: it is marked read-only`, {
      code: 'IMAGE_EXISTS',
      hint: 'choose another name, or remove it first',
    })
  }
  lockImage(path, 'exclusive').release()
}

/**
 * Whether an image can have the name.
 *
 * @throws NspawnError `USAGE`
 */
export function checkNewName(name: string): void {
  if (!isImageName(name) || name === '.host')
    throw usageError(`"${name}" cannot be the name of an image`)
  // Its lock files and hidden names are longer still.
  if (Buffer.byteLength(name) > NAME_MAX) throw usageError(`the name ${name} is too long`)
}

/** An image of that name in another directory of the search path would hide this one, or be hidden by it. */
function refuseSecond({ directory, name, existing }: NewImage): void {
  if (existing === 'replace' || !imageSearchPath().includes(directory)) return
  const found = findImage(name)
  if (found === undefined || dirname(found.path) === directory) return
  throw new NspawnError(`there is an image called ${name} already`, {
    code: 'IMAGE_EXISTS',
    subject: found.path,
    hint: 'choose another name',
  })
}

/**
 * Makes the hidden place for a new image, after removing what dead processes left beside it. The name is
 * reserved; the cleanup stack lets go of it, and removes what was not published.
 *
 * @throws NspawnError as `checkNewImage()`; `EBUSY` when somebody else is making an image of that name
 */
export function stageImage(image: NewImage, cleanup: CleanupStack, log: LogSink): ImageStage {
  const { directory, name, kind } = image
  checkNewName(name)
  try {
    mkdirSync(dirname(directory), { recursive: true, mode: 0o755 })
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const reserved = lockImageName(name, directory)
    cleanup.defer(`name ${name}`, reserved.release)
    for (const path of removeStaleHiddenTrees(directory, log))
      log({ kind: 'notice', text: `removed ${path}, left by a process that is gone` })
    checkNewImage(image)
    const hidden = claimHiddenTree(directory, name)
    cleanup.defer(`stage ${hidden.path}`, () => hidden.remove())
    mkdirSync(hidden.path, { mode: image.reach === 'everybody' ? 0o755 : 0o700 })
    const path = join(hidden.path, kind === 'tree' ? 'tree' : 'disk')
    if (kind === 'tree' && image.top !== 'caller') makeTreeTop(path, image.top)
    const sideFile = (suffix: SideFileSuffix) => join(hidden.path, `side${suffix}`)
    return {
      path,
      directory: hidden.path,
      sideFile,
      publish: ({ more = [], signal } = {}) =>
        publish({ image, hidden, path, sideFile, more, signal, log }),
    }
  } catch (error) {
    if (error instanceof NspawnError) throw error
    throw new NspawnError('cannot make a place for the new image', {
      code: (error as NodeJS.ErrnoException).code ?? 'EIO',
      operation: 'mkdir',
      subject: directory,
    })
  }
}

interface Publication {
  readonly image: NewImage
  readonly hidden: HiddenTree
  readonly path: string
  readonly sideFile: ImageStage['sideFile']
  readonly more: readonly SideMove[]
  readonly signal: AbortSignal | undefined
  readonly log: LogSink
}

async function publish(publication: Publication): Promise<string> {
  const { image, hidden, path, signal, log } = publication
  const target = newImagePath(image)
  const replaces = image.existing === 'replace' && isTaken(target)
  joinPool(path, image.directory)
  if (image.sync === 'yes') {
    const program = ['sync', '--file-system', path] as const
    await runProgram('cannot write the new image to disk', program, { signal })
  }
  throwIfCanceled(signal, 'making the image')
  // Nobody uses the image before its side files and its mark are where they belong.
  const lock = lockImage(path, 'exclusive')
  try {
    changeNames(
      plannedChange(publication, replaces),
      hidden.announce,
      () => (replaces ? exchangeTrees(path, target) : giveName(path, target)),
      log,
    )
  } finally {
    lock.release()
  }
  await syncDirectory(image.directory)
  return target
}

function plannedChange(
  { image, path, sideFile, more, log }: Publication,
  replaces: boolean,
): NameChange {
  const there = sideFilesBeside(image.directory, image.name).map(({ suffix }) => suffix)
  const fresh = sideFileSuffixes.filter((suffix) => existsSync(sideFile(suffix)))
  const finalPath = (suffix: SideFileSuffix) => join(image.directory, image.name + suffix)
  const moves = (suffixes: readonly SideFileSuffix[]) =>
    suffixes.map((suffix) => planMove(sideFile(suffix), finalPath(suffix)))
  const others = more.map(({ from, to }) => planMove(from, to))
  const common = {
    target: newImagePath(image),
    image: identityOf(path)!,
    mark: image.access === 'read-only',
  }
  if (replaces) {
    const obsolete = there.filter((suffix) => suffix !== '.nspawn' && !fresh.includes(suffix))
    return {
      ...common,
      before: [],
      after: [...moves(fresh), ...others],
      remove: obsolete.map((suffix) => knownFile(finalPath(suffix))),
    }
  }
  const settings = finalPath('.nspawn')
  if (fresh.includes('.nspawn') && there.includes('.nspawn'))
    log({ kind: 'notice', text: `${settings} is there already, and is kept` })
  const waiting = fresh.filter((suffix) => suffix !== '.nspawn' && there.includes(suffix))
  return {
    ...common,
    before: moves(fresh.filter((suffix) => !there.includes(suffix))),
    after: [...moves(waiting), ...others],
    remove: [],
  }
}

/** Gives the image a name that nobody has, or only an empty directory. */
function giveName(path: string, target: string): void {
  try {
    if (lstatSync(path).isDirectory()) renameSync(path, target)
    else renameNew(path, target)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
    // No rename replaces a subvolume, not even an empty one.
    if (code === 'ENOTEMPTY' && !isTaken(target)) return exchangeTrees(path, target)
    const taken = code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR'
    throw new NspawnError(
      taken ? `somebody else made ${target} meanwhile` : 'cannot give the image its name',
      {
        code: taken ? 'IMAGE_EXISTS' : code,
        operation: 'rename',
        subject: target,
      },
    )
  }
}

/** An empty directory is free: it waits to be filled. A link is not, wherever it leads. */
function isTaken(path: string): boolean {
  const facts = lstatSync(path, { throwIfNoEntry: false })
  if (facts === undefined) return false
  return !facts.isDirectory() || readdirSync(path).length > 0
}
