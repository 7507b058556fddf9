/**
 * Throw-away copies of trees. They cost the same whatever the size of the tree: a snapshot on btrfs,
 * elsewhere an overlay above the tree, and only where neither can work a copy.
 */
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  realpathSync,
  statfsSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { silent, type LogSink } from '../log.ts'
import { runtimeDirectory, stateDirectory } from '../paths.ts'
import { AT_FDCWD } from '../sys/at-error.ts'
import { nameOf, setTimesAt } from '../sys/at.ts'
import { overlayRefusal } from '../sys/overlay-probe.ts'
import { statAt } from '../sys/statx.ts'
import { getXattr, listXattrs, setXattr } from '../sys/xattr.ts'
import {
  claimHiddenTree,
  hiddenTreePath,
  removeStaleHiddenTrees,
  type HiddenTree,
} from './hidden-tree.ts'
import { ZERO_SUFFIX } from './random-suffix.ts'

/** A root tree that vanishes with the `CleanupStack` it was prepared on. */
export type EphemeralRoot =
  /** A writable btrfs snapshot. */
  | { readonly kind: 'snapshot'; readonly path: string }
  /**
   * Directories for an overlay. `upper` has the mode, owner and attributes of the top of `lower`;
   * `workDirectory` is empty and on the same file system; `directory` holds both.
   */
  | {
      readonly kind: 'overlay'
      readonly lower: string
      readonly upper: string
      readonly workDirectory: string
      readonly directory: string
    }
  /** A copy, since the others cannot work here; `reason` says why. */
  | { readonly kind: 'copy'; readonly path: string; readonly reason: string }

export interface EphemeralOptions {
  readonly log?: LogSink | undefined
  /** Ends a copy that is under way. */
  readonly signal?: AbortSignal | undefined
  /** Where throw-away directories go when the directory of the tree cannot hold them. */
  readonly stateDirectory?: string | undefined
}

/**
 * Prepares a throw-away copy of `tree`, first removing those that dead runs left in the same place.
 * The caller holds a shared lock on the tree, which must not change meanwhile.
 *
 * @param tree an absolute path
 * @param cleanup releasing it removes the copy
 */
export async function prepareEphemeral(
  tree: string,
  options: EphemeralOptions,
  cleanup: CleanupStack,
): Promise<EphemeralRoot> {
  const lower = realpathSync.native(tree)
  const log = options.log ?? silent
  const reasons: string[] = []
  const { type } = statfsSync(lower)
  const snapshot =
    type === BTRFS_SUPER_MAGIC ? await trySnapshot(lower, reasons, log, cleanup) : undefined
  if (snapshot !== undefined) return snapshot

  const places = placesFor(dirname(lower), options.stateDirectory)
  const below = { lower, type, name: basename(lower) }
  const overlay = overlayInOneOf(places, below, { reasons, log }, cleanup)
  return overlay ?? copy(lower, places, reasons.join('; '), options, cleanup)
}

/**
 * Directories for an overlay above a tree that lies in the disk image `image` and can be seen at `lower`.
 *
 * @returns undefined where no overlay can work
 */
export function prepareImageOverlay(
  lower: string,
  image: string,
  log: LogSink,
  cleanup: CleanupStack,
): OverlayRoot | undefined {
  // What lies among devices would be gone with the host's next start, and its file system is the kernel's.
  const beside = image.startsWith('/dev/') ? [] : [dirname(image)]
  const places = [...beside, ...placesFor(dirname(image), undefined).slice(1)]
  // Every file system that images have is a good lower; a try with a mount that nobody sees fails on older kernels.
  const below = { lower, type: EXT4_SUPER_MAGIC, name: basename(image) }
  return overlayInOneOf(places, below, { reasons: [], log }, cleanup)
}

type OverlayRoot = Extract<EphemeralRoot, { kind: 'overlay' }>

interface Below {
  /** Where the tree can be seen. */
  readonly lower: string
  /** Of its file system. */
  readonly type: number
  /** What hidden names are made of. */
  readonly name: string
}

/** What is said of it, and why it could not be where it should. */
interface Telling {
  readonly reasons: string[]
  readonly log: LogSink
}

function overlayInOneOf(
  places: readonly string[],
  below: Below,
  { reasons, log }: Telling,
  cleanup: CleanupStack,
): OverlayRoot | undefined {
  for (const place of places) {
    const overlay = tryOverlay(below, place, place !== places[0], { reasons, log })
    if (overlay === undefined) continue
    cleanup.defer(`throw-away copy of ${below.name}`, overlay.hidden.remove)
    if (place !== places[0])
      log({
        kind: 'notice',
        text: `changes are kept in ${place} until the end: ${reasons.join('; ')}`,
      })
    return overlay.root
  }
  return undefined
}

/** Where the throw-away parts may lie, best first. */
function placesFor(beside: string, state: string | undefined): string[] {
  const ours = [state ?? stateDirectory(), runtimeDirectory()]
  return [beside, ...ours.map((directory) => join(directory, 'ephemeral'))]
}

/**
 * What `prepareEphemeral()` would make, by name only: a snapshot of a subvolume, else an overlay in the first place
 * whose file system can be written to and hold one. Nobody tries it, so it may turn out otherwise.
 */
export async function foreseeEphemeral(
  tree: string,
): Promise<
  | { readonly kind: 'directory'; readonly path: string }
  | Omit<Extract<EphemeralRoot, { kind: 'overlay' }>, 'directory'>
> {
  const lower = realpathSync.native(tree)
  const hidden = (place: string) => hiddenTreePath(place, basename(lower), ZERO_SUFFIX)
  if (statfsSync(lower).type === BTRFS_SUPER_MAGIC) {
    const { isSubvolume } = await import('../sys/btrfs.ts')
    const beside = dirname(lower)
    if (isSubvolume(lower) && statfsSync(beside).type === BTRFS_SUPER_MAGIC)
      return { kind: 'directory', path: hidden(beside) }
  }
  const places = placesFor(dirname(lower), undefined)
  const place: string = places.find(canHoldUpper) ?? (places[0] as string)
  const directory = hidden(place)
  return {
    kind: 'overlay',
    lower,
    upper: join(directory, 'upper'),
    workDirectory: join(directory, 'work'),
  }
}

/** Judged by the nearest directory that exists. */
function canHoldUpper(place: string): boolean {
  let existing = place
  while (!existsSync(existing)) existing = dirname(existing)
  if (noUpper.has(statfsSync(existing).type)) return false
  try {
    accessSync(existing, constants.W_OK)
  } catch (error) {
    // Whoever may not write there may still ask what root would do.
    return codeOf(error) !== 'EROFS'
  }
  return true
}

/** Removes throw-away copies and unfinished trees in `directory` whose owners are dead; returns their paths. */
export function removeStaleEphemerals(directory: string, log: LogSink = silent): string[] {
  return removeStaleHiddenTrees(directory, log)
}

/* <linux/magic.h> */
const BTRFS_SUPER_MAGIC = 0x9123683e
const EXT4_SUPER_MAGIC = 0xef53
const TMPFS_MAGIC = 0x01021994

/** File systems that cannot hold an upper, so that trying would only leave traces. */
const noUpper: ReadonlyMap<number, string> = new Map([
  [0x794c7630, 'an overlay'],
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9P'],
  [0x4d44, 'FAT'],
  [0x2011bab0, 'exFAT'],
  [0x73717368, 'squashfs'],
  [0xe0f5e1e2, 'EROFS'],
  [0xf15f, 'eCryptfs'],
])

/** File systems that every kernel takes as lower and upper: no need to try. */
const sureOverlay = new Set([BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC])

/** What one directory says no with; another one may say yes. */
const refusals = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'EOPNOTSUPP'])

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? ''

async function trySnapshot(
  tree: string,
  reasons: string[],
  log: LogSink,
  cleanup: CleanupStack,
): Promise<EphemeralRoot | undefined> {
  const { isSubvolume, snapshotSubvolume } = await import('../sys/btrfs.ts')
  if (!isSubvolume(tree) || statfsSync(dirname(tree)).type !== BTRFS_SUPER_MAGIC) return undefined
  removeStaleHiddenTrees(dirname(tree), log)
  let hidden: HiddenTree
  try {
    hidden = claimHiddenTree(dirname(tree), basename(tree))
  } catch (error) {
    if (!refusals.has(codeOf(error))) throw error
    return undefined
  }
  try {
    snapshotSubvolume(tree, hidden.path)
  } catch (error) {
    await hidden.remove()
    const code = codeOf(error)
    if (code !== 'EXDEV' && !refusals.has(code)) throw error
    reasons.push(`no snapshot of ${tree}: ${code}`)
    return undefined
  }
  cleanup.defer(`snapshot of ${tree}`, hidden.remove)
  return { kind: 'snapshot', path: hidden.path }
}

function tryOverlay(
  { lower, type: lowerType, name }: Below,
  place: string,
  ours: boolean,
  { reasons, log }: Telling,
): { root: OverlayRoot; hidden: HiddenTree } | undefined {
  let hidden: HiddenTree
  let sure: boolean
  try {
    if (ours) mkdirSync(place, { recursive: true, mode: 0o700 })
    const { type } = statfsSync(place)
    sure = sureOverlay.has(type) && sureOverlay.has(lowerType)
    const unfit = noUpper.get(type)
    if (unfit !== undefined) {
      reasons.push(`${place} is on ${unfit}`)
      return undefined
    }
    removeStaleHiddenTrees(place, log)
    hidden = claimHiddenTree(place, name)
  } catch (error) {
    if (!refusals.has(codeOf(error))) throw error
    reasons.push(`${place} cannot be written to (${codeOf(error)})`)
    return undefined
  }
  const directory = hidden.path
  const upper = join(directory, 'upper')
  const workDirectory = join(directory, 'work')
  try {
    mkdirSync(directory, { mode: 0o700 })
    mkdirSync(workDirectory, { mode: 0o700 })
    mkdirSync(upper, { mode: 0o700 })
    likeTopOf(lower, upper)
    // Where owners are mapped at the mount, even root may only enter what belongs to one of them.
    const { uid, gid } = statAt(AT_FDCWD, nameOf(upper))
    for (const path of [directory, workDirectory]) chownSync(path, uid, gid)
    const refusal = sure ? undefined : overlayRefusal(lower, upper, workDirectory)
    if (refusal === undefined)
      return { root: { kind: 'overlay', lower, upper, workDirectory, directory }, hidden }
    reasons.push(`overlayfs does not take ${place} (${refusal})`)
  } catch (error) {
    hidden.removeNow()
    if (!refusals.has(codeOf(error))) throw error
    reasons.push(`${place} cannot hold a copy of ${lower}'s top directory (${codeOf(error)})`)
    return undefined
  }
  hidden.removeNow()
  return undefined
}

/** Gives `upper` what people see of the top directory of `lower`: an overlay shows the upper's. */
function likeTopOf(lower: string, upper: string): void {
  const facts = statAt(AT_FDCWD, nameOf(lower))
  for (const attribute of listXattrs(lower)) {
    if (attribute.startsWith('trusted.overlay.')) continue
    const value = getXattr(lower, attribute)
    if (value !== undefined) setXattr(upper, attribute, value)
  }
  chownSync(upper, facts.uid, facts.gid)
  chmodSync(upper, facts.mode & 0o7777)
  setTimesAt(AT_FDCWD, nameOf(upper), facts.accessed, facts.modified)
}

async function copy(
  tree: string,
  places: readonly string[],
  reason: string,
  options: EphemeralOptions,
  cleanup: CleanupStack,
): Promise<EphemeralRoot> {
  const { copyTree } = await import('./copy-tree.ts')
  for (const place of places) {
    let hidden: HiddenTree
    try {
      mkdirSync(place, { recursive: true, mode: 0o700 })
      hidden = claimHiddenTree(place, basename(tree))
    } catch (error) {
      if (!refusals.has(codeOf(error))) throw error
      continue
    }
    const forget = cleanup.defer(`throw-away copy of ${tree}`, hidden.remove)
    options.log?.({
      kind: 'warning',
      text: `copying ${tree}, since it cannot be an overlay: ${reason}`,
    })
    try {
      await copyTree(tree, hidden.path, { signal: options.signal })
    } catch (error) {
      await forget()
      throw error
    }
    return { kind: 'copy', path: hidden.path, reason }
  }
  throw new NspawnError(`cannot make a throw-away copy of ${tree}: ${reason}`, {
    code: 'NO_EPHEMERAL_PLACE',
    operation: 'prepare ephemeral',
    subject: tree,
    hint: 'set TSNSPAWN_STATE_DIR to a writable directory on a local file system',
  })
}
