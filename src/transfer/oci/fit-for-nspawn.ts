/**
 * What other tools make up for when they start an image, and nspawn expects in the tree: the working directory, and
 * the user, who may be a number that nobody knows.
 */
import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { NspawnError } from '../../errors.ts'
import { resolveInRoot } from '../../images/resolve-in-root.ts'
import type { LogSink } from '../../log.ts'
import type { Execution } from './documents.ts'
import { isRoot } from './machine-settings.ts'

const maxBytes = 1024 * 1024

/**
 * Makes the working directory where it is missing, and warns of a user that the tree lacks.
 *
 * @param tree at rest
 */
export function makeFitForNspawn(tree: string, execution: Execution, log: LogSink): void {
  makeWorkingDirectory(tree, execution.workingDirectory)
  const [user = ''] = execution.user.split(':')
  if (isRoot(user) || knowsUser(tree, user)) return
  log({
    kind: 'warning',
    text: `the image names a user that it does not have: ${JSON.stringify(user.slice(0, 80))}`,
    hint: 'it starts only with --user=, or when the user is added to its passwd file',
  })
}

function makeWorkingDirectory(tree: string, path: string): void {
  try {
    mkdirSync(resolveInRoot(tree, path, 'allow'), { recursive: true, mode: 0o755 })
  } catch (error) {
    throw new NspawnError('cannot make the working directory of the image', {
      code: (error as { code?: string }).code ?? 'EIO',
      operation: 'mkdir',
      subject: path,
    })
  }
}

/** False only where the tree's passwd file was read and lacks the user, a name or a number. */
function knowsUser(tree: string, user: string): boolean {
  const text = readPasswd(tree)
  if (text === undefined) return true
  const field = /^[0-9]+$/.test(user) ? 2 : 0
  return text.split('\n').some((line) => line.split(':')[field] === user)
}

function readPasswd(tree: string): string | undefined {
  let fd: number
  try {
    const path = resolveInRoot(tree, '/etc/passwd')
    // A layer may have put a device there, and some do something as soon as they are opened.
    if (!lstatSync(path).isFile()) return undefined
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
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
