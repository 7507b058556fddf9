/** Programs that are killed at one of their system calls, chosen by its name and number. */
import { execa } from 'execa'
import type { BundledProgram } from '../../fixtures/bundled-program.ts'

/** Calls that change what is on disk. The first ioctls are Node's, which asks what its standard files are. */
const calls: readonly (readonly [call: string, first: number])[] = [
  ['mkdir', 3],
  ['ftruncate', 1],
  ['rename', 1],
  ['renameat2', 1],
  ['ioctl', 7],
  ['chmod', 1],
  ['unlink', 1],
  ['unlinkat', 1],
]

/**
 * Runs the program again and again, each time with a later death, until it has died at every call.
 *
 * @param before makes things as they were
 * @param after looks at what the dead one left
 */
export async function dieEverywhere(
  program: BundledProgram,
  args: readonly string[],
  before: () => Promise<void> | void,
  after: (isDead: boolean) => Promise<void> | void,
): Promise<void> {
  for (const [call, first] of calls) {
    for (let when = first, isDead = true; isDead; when++) {
      await before()
      const inject = `--inject=${call}:signal=KILL:when=${when}`
      const strace = ['-o', '/dev/null', '-e', `trace=${call}`, inject]
      const { signal, exitCode, stderr } = await execa(
        'strace',
        [...strace, ...program.command, ...args],
        { env: program.env, reject: false },
      )
      isDead = signal === 'SIGKILL'
      if (!isDead && exitCode !== 0) throw new Error(stderr)
      await after(isDead)
    }
  }
}
