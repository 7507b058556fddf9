/** Showing a file or directory of the host in a running machine (machinectl(1): bind). */
import { realpathSync, statSync } from 'node:fs'
import { normalize } from 'node:path'
import { NspawnError, usageError } from '../errors.ts'
import { openBindTarget } from '../runtime/bind-target.ts'
import { close } from '../sys/fd.ts'
import { attachMountTo, cloneMount, setMountAttributes } from '../sys/mount.ts'
import { closeMachine, inMountNamespace, openMachine } from './enter.ts'
import type { RunningMachine } from '../runtime/registry.ts'

export interface MachineBind {
  /** On the host; symlinks are followed. */
  readonly source: string
  /** In the machine; no symlink leads out of it. */
  readonly target: string
  readonly access: 'read-write' | 'read-only'
  /** Whether to make the target when it is missing. */
  readonly create: 'as-source' | 'no'
}

/**
 * Mounts `source` with everything below at `target`, until the machine ends. The mount is made here, without a place,
 * and put into the machine by a child that has joined its mount namespace; nothing in the machine takes part. Node must
 * run with the flags that a fork needs.
 */
export function bindIntoMachine(machine: RunningMachine, bind: MachineBind): void {
  for (const [what, path] of [
    ['source', bind.source],
    ['destination', bind.target],
  ] as const) {
    if (!path.startsWith('/') || withoutEnd(path) !== withoutEnd(normalize(path)))
      throw usageError(`the ${what} path must be absolute and normalized: ${path}`)
  }
  const source = realSource(bind.source)
  const kind = statSync(source).isDirectory() ? 'directory' : 'file'
  const door = openMachine(machine)
  const opened: number[] = []
  try {
    const owner = machine.users?.base ?? 0
    const target = openBindTarget(bind.target, { root: door.root, owner }, kind, bind.create)
    opened.push(target)
    const mount = cloneMount(source, 'recursive')
    opened.push(mount)
    if (bind.access === 'read-only')
      setMountAttributes(mount, { readOnly: true }, 'recursive', bind.target)
    inMountNamespace(door, () => attachMountTo(mount, target, bind.target))
  } finally {
    for (const fd of opened) close(fd)
    closeMachine(door)
  }
}

function withoutEnd(path: string): string {
  return path.replace(/(?<=.)\/+$/, '')
}

function realSource(path: string): string {
  try {
    return realpathSync.native(path)
  } catch (error) {
    throw new NspawnError('cannot find what is to be mounted', {
      code: (error as NodeJS.ErrnoException).code ?? 'EINVAL',
      operation: 'realpath',
      subject: path,
    })
  }
}
