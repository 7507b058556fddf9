/** renameat2(2) with RENAME_EXCHANGE: glibc has had the wrapper since 2.28. */
import { lazyFunction } from './lazy-function.ts'
import { fail } from './libc.ts'

/* <linux/fs.h>, <fcntl.h> */
const RENAME_EXCHANGE = 2
const AT_FDCWD = -100

const renameat2 = lazyFunction(
  'int renameat2(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, unsigned int flags)',
)

/**
 * Lets two files or directories of one file system change names, in one step.
 *
 * @throws NspawnError, operation `renameat2`
 * @see rename(2)
 */
export function exchangeNames(one: string, other: string): void {
  if (renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) < 0) {
    fail('renameat2', { step: 'cannot exchange two trees', path: other })
  }
}
