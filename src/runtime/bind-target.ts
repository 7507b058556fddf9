/** Where a bind mount goes: what is there already, or a new inode of the source's type. */
import { chownSync, closeSync, openSync } from 'node:fs'
import { close, O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY } from '../sys/fd.ts'
import {
  descriptorPath,
  makeDirectoryInRoot,
  openInRoot,
  openInRootIfPresent,
  splitPath,
} from '../sys/openat2.ts'
import type { StepContext } from './step-context.ts'

/** The mount point for a bind, made like its source when it is missing. */
export function openBindTarget(
  target: string,
  context: Pick<StepContext, 'root' | 'owner'>,
  kind: 'directory' | 'file',
  create: 'as-source' | 'no',
): number {
  const existing = openInRootIfPresent(context.root, target)
  if (existing !== undefined) return existing
  if (create === 'no') return openInRoot(context.root, target)
  const inode = { mode: 0o755, owner: context.owner }
  if (kind === 'directory') return makeDirectoryInRoot(context.root, target, inode)
  const { parent, name } = splitPath(target)
  const parentFd = makeDirectoryInRoot(context.root, parent, inode)
  try {
    const path = descriptorPath(parentFd, name)
    closeSync(openSync(path, O_WRONLY | O_CREAT | O_EXCL, 0o644))
    chownSync(path, context.owner, context.owner)
    return openInRoot(parentFd, name, O_PATH | O_NOFOLLOW)
  } finally {
    close(parentFd)
  }
}
