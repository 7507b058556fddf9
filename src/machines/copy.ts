/** Copying between the host and a running machine (machinectl(1): copy-to, copy-from). */
import { basename, dirname, resolve } from 'node:path'
import { NspawnError, usageError } from '../errors.ts'
import { copyEntry, type EntryPlace } from '../images/copy-entry.ts'
import type { CopiedAmount, CopyOptions } from '../images/copy-turns.ts'
import { NOBODY } from '../sys/credentials.ts'
import { close, open, O_DIRECTORY, O_RDONLY } from '../sys/fd.ts'
import { openInRoot } from '../sys/openat2.ts'
import { closeMachine, openMachine } from './enter.ts'
import type { RunningMachine } from '../runtime/registry.ts'

export interface MachineCopy extends CopyOptions {
  /** Relative ones count from the caller's directory. */
  readonly hostPath: string
  /** Absolute; its directory is looked up beneath the machine's root, and its last part is not followed. */
  readonly machinePath: string
  readonly existing: 'merge' | 'replace'
}

/** Host to machine. An owner keeps its number, counted in the machine; one that the machine has not is nobody there. */
export function copyToMachine(machine: RunningMachine, copy: MachineCopy): Promise<CopiedAmount> {
  const { users } = machine
  const inside = (id: number): number => {
    if (users === null) return id
    return users.base + (id < users.length ? id : NOBODY < users.length ? NOBODY : 0)
  }
  return between(machine, copy, (host, there) =>
    copyEntry(host, there, {
      ...copy,
      owner: inside,
      rights: 'keep',
      xattrs: users === null ? 'all' : 'users',
    }),
  )
}

/** Machine to host: the same the other way round. What gives rights on the host stays behind. */
export function copyFromMachine(machine: RunningMachine, copy: MachineCopy): Promise<CopiedAmount> {
  const { users } = machine
  const outside = (id: number): number => {
    if (users === null) return id
    return id >= users.base && id < users.base + users.length ? id - users.base : NOBODY
  }
  return between(machine, copy, (host, there) =>
    copyEntry(there, host, { ...copy, owner: outside, rights: 'leave', xattrs: 'users' }),
  )
}

async function between<T>(
  machine: RunningMachine,
  { hostPath, machinePath }: MachineCopy,
  work: (host: EntryPlace, there: EntryPlace) => Promise<T>,
): Promise<T> {
  if (!machinePath.startsWith('/')) {
    throw usageError(`the path in the machine must be absolute: ${machinePath}`)
  }
  const full = resolve(hostPath)
  const [hostName, machineName] = [basename(full), basename(machinePath)]
  for (const [name, path] of [
    [hostName, hostPath],
    [machineName, machinePath],
  ] as const) {
    if (name === '' || name === '.' || name === '..')
      throw usageError(`a path to copy must end in a name: ${path}`)
  }
  const door = openMachine(machine)
  const opened: number[] = []
  try {
    const host = open(dirname(full), O_RDONLY | O_DIRECTORY)
    opened.push(host)
    const there = openInRoot(door.root, dirname(machinePath), O_RDONLY | O_DIRECTORY)
    opened.push(there)
    return await work({ directory: host, name: hostName }, { directory: there, name: machineName })
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'EOVERFLOW') {
      throw new NspawnError('the machine has mounted this file system itself, for its own users', {
        code: 'EOVERFLOW',
        subject: machinePath,
        hint: 'copy to another directory, or through tsnspawn-build shell and tar',
        cause: error,
      })
    }
    throw error
  } finally {
    for (const fd of opened) close(fd)
    closeMachine(door)
  }
}
