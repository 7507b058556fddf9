/** Whether the user that an image names is one of its own: other tools run unknown numbers, nspawn does not. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { resolveInRoot } from '../../images/resolve-in-root.ts'

const maxBytes = 1024 * 1024

/**
 * @param user name or number
 * @returns false only where the tree's passwd file was read and lacks the user
 */
export function knowsUser(tree: string, user: string): boolean {
  const text = readPasswd(tree)
  if (text === undefined) return true
  const field = /^[0-9]+$/.test(user) ? 2 : 0
  return text.split('\n').some((line) => line.split(':')[field] === user)
}

function readPasswd(tree: string): string | undefined {
  let fd: number
  try {
    fd = openSync(resolveInRoot(tree, '/etc/passwd'), constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    const code = error instanceof NspawnError ? error.code : (error as NodeJS.ErrnoException).code
    return code === 'ENOENT' ? '' : undefined
  }
  try {
    const { size } = fstatSync(fd)
    if (!fstatSync(fd).isFile() || size > maxBytes) return undefined
    const bytes = Buffer.alloc(size)
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0))
  } finally {
    closeSync(fd)
  }
}
