/**
 * Extended attributes, ACLs and file capabilities among them. A target is an open file, or a path
 * whose last component is not followed when it is a symlink.
 */
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { fail, lastErrno } from './libc.ts'

const llistxattr = lazyFunction('long llistxattr(const void *path, void *list, size_t size)')
const flistxattr = lazyFunction('long flistxattr(int fd, void *list, size_t size)')
const lgetxattr = lazyFunction(
  'long lgetxattr(const void *path, const char *name, void *value, size_t size)',
)
const fgetxattr = lazyFunction('long fgetxattr(int fd, const char *name, void *value, size_t size)')
const lsetxattr = lazyFunction(
  'int lsetxattr(const void *path, const char *name, const void *value, size_t size, int flags)',
)
const fsetxattr = lazyFunction(
  'int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags)',
)
const lremovexattr = lazyFunction('int lremovexattr(const void *path, const char *name)')
const fremovexattr = lazyFunction('int fremovexattr(int fd, const char *name)')

/** An open file, a path as text, or a path as NUL-terminated bytes. */
export type XattrTarget = number | string | Uint8Array

const bytesOf = (path: string | Uint8Array): Uint8Array =>
  typeof path === 'string' ? Buffer.from(`${path}\0`) : path

function textOf(target: XattrTarget): string {
  if (typeof target === 'number') return `fd ${target}`
  return typeof target === 'string' ? target : Buffer.from(target).toString().replace(/\0$/, '')
}

let space = Buffer.alloc(4096)

/** Calls with ever more room until the answer fits; it may grow meanwhile. */
function read(
  operation: string,
  target: XattrTarget,
  call: (room: Buffer) => unknown,
): Buffer | undefined {
  for (;;) {
    const length = Number(call(space))
    if (length >= 0) return space.subarray(0, length)
    const code = errnoName(lastErrno())
    if (code === 'ENODATA' || code === 'EOPNOTSUPP') return undefined
    if (code !== 'ERANGE' || space.length >= 1 << 20) fail(operation, { path: textOf(target) })
    space = Buffer.alloc(space.length * 4)
  }
}

/** Names of all attributes that the caller may see; empty where the file system has none. */
export function listXattrs(target: XattrTarget): string[] {
  const names = read('listxattr', target, (room) =>
    typeof target === 'number'
      ? flistxattr(target, room, room.length)
      : llistxattr(bytesOf(target), room, room.length),
  )
  if (names === undefined || names.length === 0) return []
  return names.toString().split('\0').slice(0, -1)
}

/** The value, or undefined when there is no such attribute. */
export function getXattr(target: XattrTarget, name: string): Buffer | undefined {
  const value = read('getxattr', target, (room) =>
    typeof target === 'number'
      ? fgetxattr(target, name, room, room.length)
      : lgetxattr(bytesOf(target), name, room, room.length),
  )
  return value === undefined ? undefined : Buffer.from(value)
}

/** @throws NspawnError, `EOPNOTSUPP` where the file system keeps no such attributes */
export function setXattr(target: XattrTarget, name: string, value: Uint8Array): void {
  const result =
    typeof target === 'number'
      ? fsetxattr(target, name, value, value.length, 0)
      : lsetxattr(bytesOf(target), name, value, value.length, 0)
  if (result < 0) fail('setxattr', { path: textOf(target), step: `cannot set attribute ${name}` })
}

/** Removes an attribute; one that is not there is no failure. */
export function removeXattr(target: XattrTarget, name: string): void {
  const result =
    typeof target === 'number' ? fremovexattr(target, name) : lremovexattr(bytesOf(target), name)
  if (result === 0 || ['ENODATA', 'EOPNOTSUPP'].includes(errnoName(lastErrno()))) return
  fail('removexattr', { path: textOf(target), step: `cannot remove attribute ${name}` })
}
