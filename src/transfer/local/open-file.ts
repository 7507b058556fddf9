/** File arguments of imports and exports, and what is known of a descriptor that somebody else opened. */
import { constants, readFileSync } from 'node:fs'
import { NspawnError, usageError } from '../../errors.ts'

/** Whether a file argument stands for standard input or output: `-`, nothing, or the device's name. */
export function isStandard(path: string | undefined, which: 'stdin' | 'stdout'): boolean {
  return path === undefined || path === '' || path === '-' || path === `/dev/${which}`
}

export interface OpenFileState {
  /** Where reading or writing goes on. */
  readonly offset: number
  readonly appends: boolean
}

/** @see proc_pid_fdinfo(5) */
export function openFileState(fd: number): OpenFileState {
  const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(info)?.[1] ?? '0'
  const flags = Number.parseInt(field('flags'), 8)
  return { offset: Number(field('pos')), appends: (flags & constants.O_APPEND) !== 0 }
}

/** Why the user's file cannot be opened; one that is not there, or closed to us, is a wrong argument. */
export function unusable(step: string, error: unknown): NspawnError {
  if (error instanceof NspawnError) return error
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO'
  const reason = reasons[code]
  return reason === undefined
    ? new NspawnError(step, { code, operation: 'open' })
    : usageError(`${step}: ${reason}`)
}

const reasons: Partial<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'a part of its path is no directory',
  EACCES: 'permission denied',
  ELOOP: 'its links go round in circles',
  EROFS: 'the file system is read-only',
}
