/** A tree that lives on by itself, made from another one: a snapshot, else a copy that shares blocks where it can. */
import { rmdirSync, statSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { destroySubvolume, isSubvolume, snapshotSubvolume } from '../sys/btrfs.ts'
import type { StartCopyThreads } from './copy-share.ts'
import { copyTree } from './copy-tree.ts'
import { makeTreeTop } from './tree-top.ts'

export interface FillOptions {
  readonly log: LogSink
  readonly signal?: AbortSignal | undefined
  /** A directory that stays empty in the copy. */
  readonly leaveOut?: string | undefined
  /** See `copyTree()`. */
  readonly startThreads?: StartCopyThreads | undefined
}

/**
 * Makes `target`, which must not exist, with all that is in the directory `source`. What a failure leaves
 * is for the caller to remove.
 *
 * @returns how it was made
 * @throws NspawnError `CANCELED`, and whatever copying meets
 */
export async function fillTree(
  source: string,
  target: string,
  { log, signal, leaveOut, startThreads }: FillOptions,
): Promise<'snapshot' | 'copy'> {
  if (trySnapshot(source, target, leaveOut)) return 'snapshot'
  makeTreeTop(target)
  await copyTree(source, target, {
    signal,
    leaveOut,
    startThreads,
    progress: ({ inodes }) =>
      log({
        kind: 'progress',
        text: `copying ${source}`,
        done: inodes,
        total: undefined,
        unit: 'files',
      }),
  })
  return 'copy'
}

/**
 * As `fillTree()`, into a directory that is there already and has nothing in it.
 *
 * @throws NspawnError `CANCELED`, and whatever copying meets; the directory may be gone or half filled then
 */
export async function refillTree(
  source: string,
  target: string,
  options: FillOptions,
): Promise<'snapshot' | 'copy'> {
  if (isSubvolume(target)) destroySubvolume(target)
  else rmdirSync(target)
  return await fillTree(source, target, options)
}

/** A snapshot holds everything, so what is to be left out is a reason to copy. */
function trySnapshot(source: string, target: string, leaveOut: string | undefined): boolean {
  if (leaveOut !== undefined || !statSync(source).isDirectory() || !isSubvolume(source))
    return false
  try {
    snapshotSubvolume(source, target)
    return true
  } catch (error) {
    if (error instanceof NspawnError && ['EXDEV', 'ENOTTY', 'EPERM'].includes(error.code))
      return false
    throw error
  }
}
