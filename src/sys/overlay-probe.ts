/** Whether overlayfs accepts given directories. What a file system promises and what it does differ. */
import { closeSync, constants, openSync } from 'node:fs'
import { errnoName } from './errno.ts'
import { lazyFunction } from './lazy-function.ts'
import { lastErrno } from './libc.ts'

/* <linux/mount.h>; the numbers are the same on all architectures (<asm-generic/unistd.h>) */
const SYS_fsopen = 430
const SYS_fsconfig = 431
const FSOPEN_CLOEXEC = 1
const FSCONFIG_SET_STRING = 1
const FSCONFIG_CMD_CREATE = 6

const fsopen = lazyFunction('long syscall(long number, const char *fstype, long flags)')
const fsconfig = lazyFunction(
  'long syscall(long number, long fd, long command, const char *key, const char *value, long aux)',
)

/**
 * Builds an overlay of the directories without mounting it anywhere.
 *
 * @returns undefined when it can be built, else the errno name of the refusal
 * @see fsopen(2), fsconfig(2)
 */
export function overlayRefusal(
  lower: string,
  upper: string,
  workDirectory: string,
): string | undefined {
  const open: number[] = []
  try {
    const context = Number(fsopen(SYS_fsopen, 'overlay', FSOPEN_CLOEXEC))
    if (context < 0) return errnoName(lastErrno())
    open.push(context)
    for (const [key, path] of [
      ['lowerdir', lower],
      ['upperdir', upper],
      ['workdir', workDirectory],
    ] as const) {
      const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
      open.push(fd)
      // By descriptor: values are limited to 255 bytes, and separators in paths need no escaping.
      if (
        Number(
          fsconfig(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, `/proc/self/fd/${fd}`, 0),
        ) < 0
      ) {
        return errnoName(lastErrno())
      }
    }
    if (Number(fsconfig(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, null, null, 0)) < 0)
      return errnoName(lastErrno())
    return undefined
  } finally {
    for (const fd of open) closeSync(fd)
  }
}
