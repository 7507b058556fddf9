/** Errors of calls that name a file by an open directory and a name: they shall show the whole path. */
import { readlinkSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { errnoName } from './errno.ts'
import { lastErrno } from './libc.ts'

/**
 * Throws the error that errno stands for, with the path that `directory` and `name` stand for.
 *
 * @param name NUL-terminated bytes; undefined means the directory itself
 */
export function failAt(operation: string, directory: number, name?: Uint8Array): never {
  const code = errnoName(lastErrno())
  throw new NspawnError(`${operation} failed`, {
    code,
    operation,
    subject: pathAt(directory, name),
  })
}

/** The path of an entry of an open directory, for messages. */
export function pathAt(directory: number, name?: Uint8Array): string {
  if (directory === AT_FDCWD) return name === undefined ? '.' : textOf(name)
  let path = `fd ${directory}`
  try {
    path = readlinkSync(`/proc/self/fd/${directory}`)
  } catch {
    // Without /proc the descriptor's number is the best name there is.
  }
  if (name === undefined) return path
  return `${path === '/' ? '' : path}/${textOf(name)}`
}

/** Stands for "relative to the current directory" where a directory is asked for (<fcntl.h>). */
export const AT_FDCWD = -100

const textOf = (name: Uint8Array): string => Buffer.from(name).toString().replace(/\0$/, '')
