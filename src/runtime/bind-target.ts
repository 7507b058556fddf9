/** Where a bind mount goes: what is there already, or a new inode of the source's type. */
import { chownSync, closeSync, openSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { close, O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_WRONLY } from '../sys/fd.ts'
import { attachMount, cloneMount, setMountAttributes } from '../sys/mount.ts'
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

/**
 * Shows a file of the host read-only at `target`, made when it is missing.
 *
 * @returns false where the tree or the kernel refuses: the caller has a weaker way
 */
export function tryBindFile(hostPath: string, target: string, context: StepContext): boolean {
  const opened: number[] = []
  const keep = (fd: number): number => {
    opened.push(fd)
    return fd
  }
  try {
    const place = keep(openBindTarget(target, context, 'file', 'as-source'))
    const mounted = keep(cloneMount(hostPath, 'one'))
    setMountAttributes(mounted, { readOnly: true, noSuid: true, noDev: true }, 'one', target)
    attachMount(mounted, descriptorPath(place), target)
    return true
  } catch (error) {
    if (error instanceof NspawnError || (error as NodeJS.ErrnoException).code !== undefined)
      return false
    throw error
  } finally {
    for (const fd of opened) close(fd)
  }
}
