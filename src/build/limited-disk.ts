/**
 * A bounded place for what a build writes: a file system of its own in a sparse file. Quotas would need a host
 * whose file system was made for them; this works on every one, and only takes what is written.
 */
import { open, mkdir } from 'node:fs/promises'
import type { CleanupStack } from '../cleanup.ts'
import { NspawnError } from '../errors.ts'
import { findProgram } from '../find-program.ts'
import { unmountBelow } from '../images/unmount-below.ts'
import { programEnvironment, runProgram } from '../process.ts'

/** Below this, ext4 has no room left for anything beside its own tables. */
export const limitedDiskMinimum = 4 * 1024 ** 2

/**
 * Mounts an ext4 file system of `sizeBytes` at `directory`, which is made, out of the file `image`, which is
 * made too; until `cleanup` is run.
 *
 * @throws NspawnError `INVALID_LIMIT` when it is too small, `PROGRAM_…` when mke2fs(8) or mount(8) fails
 */
export async function mountLimitedDisk(
  image: string,
  directory: string,
  sizeBytes: number,
  cleanup: CleanupStack,
): Promise<void> {
  if (sizeBytes < limitedDiskMinimum) {
    throw new NspawnError('the limit of the disk is too small to build in', {
      code: 'INVALID_LIMIT',
      operation: 'make a disk',
      hint: `give it at least ${limitedDiskMinimum / 1024 ** 2}M`,
    })
  }
  const file = await open(image, 'wx', 0o600)
  try {
    await file.truncate(sizeBytes)
  } finally {
    await file.close()
  }
  const run = (step: string, program: string, ...args: string[]) =>
    runProgram(step, [findProgram(program) ?? program, ...args], { env: programEnvironment() })
  // It is thrown away after the build, so it needs neither a journal nor room that only root may use.
  const features = ['-O', '^has_journal,^resize_inode', '-m', '0', '-i', '8192', '-E']
  await run(
    'cannot make the disk of the build',
    'mke2fs',
    ...['-q', '-F', '-t', 'ext4', ...features, 'lazy_itable_init=1,nodiscard', image],
  )
  await mkdir(directory)
  await run('cannot mount the disk of the build', 'mount', '-o', 'loop,nodev', image, directory)
  cleanup.defer('disk of the build', () => unmountBelow(directory))
}
