/**
 * Where a tree is made: in a hidden directory beside its destination, locked by the process that makes
 * it. It becomes the destination by one rename, or goes away; what a killed process left is removed by
 * the next one that works in the same place.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { isTreeReadOnly } from '../images/discover.ts'
import { exchangeTrees } from '../images/exchange-trees.ts'
import { claimHiddenTree, removeStaleHiddenTrees } from '../images/hidden-tree.ts'
import { lockImage } from '../images/lock.ts'
import { mountsBelow } from '../images/remove-tree.ts'
import { makeTreeTop } from '../images/tree-top.ts'
import type { LogSink } from '../log.ts'

export interface Stage {
  /** The tree itself; what lies beside it goes away in any case. */
  readonly tree: string
  readonly packages: string
  readonly temporary: string
}

/**
 * Makes the stage for `destination`, after removing what dead processes left beside it; the cleanup
 * stack removes it.
 *
 * @throws NspawnError of the directory that cannot be made
 */
export function makeStage(destination: string, cleanup: CleanupStack, log: LogSink): Stage {
  const parent = dirname(destination)
  try {
    mkdirSync(parent, { recursive: true, mode: 0o755 })
    for (const path of removeStaleHiddenTrees(parent, log)) {
      log({ kind: 'notice', text: `removed ${path}, left by a process that is gone` })
    }
    const hidden = claimHiddenTree(parent, basename(destination))
    cleanup.defer(`stage ${hidden.path}`, () => hidden.remove())
    const inside = (name: string) => join(hidden.path, name)
    const stage = { tree: inside('tree'), packages: inside('packages'), temporary: inside('tmp') }
    for (const directory of [hidden.path, stage.packages, stage.temporary])
      mkdirSync(directory, { mode: 0o755 })
    makeTreeTop(stage.tree)
    return stage
  } catch (error) {
    if (error instanceof NspawnError) throw error
    throw new NspawnError('cannot make a place for the new tree', {
      code: (error as NodeJS.ErrnoException).code ?? 'EIO',
      operation: 'mkdir',
      subject: parent,
    })
  }
}

/**
 * Whether the destination is free, or may be replaced; asked before anything is done.
 *
 * @throws NspawnError `IMAGE_EXISTS`, or `EBUSY` when the tree to be replaced is in use or something is
 *   mounted there
 */
export function checkDestination(destination: string, existing: 'keep' | 'replace'): void {
  if (existsSync(`${destination}.raw`)) {
    throw new NspawnError(`there is a disk image called ${basename(destination)} already`, {
      code: 'IMAGE_EXISTS',
      subject: `${destination}.raw`,
      hint: 'choose another name, or remove it first',
    })
  }
  if (lstatSync(destination, { throwIfNoEntry: false }) === undefined) return
  if (mountsBelow(destination).length > 0) {
    throw new NspawnError(`cannot make a tree at ${destination}: something is mounted there`, {
      code: 'EBUSY',
      hint: 'unmount it first, or choose another directory',
    })
  }
  if (!isTaken(destination)) return
  if (existing === 'keep') {
    throw new NspawnError(`there is something at ${destination} already`, {
      code: 'IMAGE_EXISTS',
      hint: 'choose another name, or replace it with --force',
    })
  }
  if (isTreeReadOnly(destination)) {
    throw new NspawnError(`cannot replace ${destination}: it is marked read-only`, {
      code: 'IMAGE_EXISTS',
      hint: 'choose another name, or remove it first',
    })
  }
  lockImage(destination, 'exclusive').release()
}

/**
 * Gives the finished tree its name. A tree that was there is exchanged in one step, so at any moment
 * the name stands for a whole tree; the old one ends in the stage, and goes with it.
 */
export async function publishStage(
  stage: Stage,
  destination: string,
  existing: 'keep' | 'replace',
): Promise<void> {
  if (existing === 'replace' && isTaken(destination)) exchangeTrees(stage.tree, destination)
  else giveName(stage.tree, destination)
  const parent = await open(dirname(destination), 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

/** Gives the tree a name that nobody has, or only an empty directory. */
function giveName(tree: string, destination: string): void {
  try {
    renameSync(tree, destination)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
    // No rename replaces a subvolume, not even an empty one.
    if (code === 'ENOTEMPTY' && !isTaken(destination)) return exchangeTrees(tree, destination)
    const taken = code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR'
    throw new NspawnError(
      taken ? `somebody else made ${destination} meanwhile` : 'cannot give the tree its name',
      {
        code: taken ? 'IMAGE_EXISTS' : code,
        operation: 'rename',
        subject: destination,
      },
    )
  }
}

/** An empty directory is free: it waits to be filled. A link is not, wherever it leads. */
function isTaken(destination: string): boolean {
  const facts = lstatSync(destination, { throwIfNoEntry: false })
  if (facts === undefined) return false
  return !facts.isDirectory() || readdirSync(destination).length > 0
}
