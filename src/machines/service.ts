/** How a machine runs as a service: the command line that the unit and `start` share (systemd-nspawn@.service). */
import { dirname, join } from 'node:path'
import { packageDirectory } from '../paths.ts'
import { START_FLAGS } from '../runtime/fork-safe-flags.ts'

/**
 * Program and arguments for one machine.
 *
 * @param name of the machine and its image; `%i` in a unit
 * @param unit `kept`: a service manager has made one, and restarts the machine when it reboots
 * @param machinesDirectory where the image is looked for; undefined for the standard places
 */
export function serviceCommand(
  name: string,
  unit: 'kept' | 'none',
  machinesDirectory: string | undefined,
): [string, ...string[]] {
  const program = join(packageDirectory(dirname(import.meta.filename)), 'bin/tsnspawn.cjs')
  return [
    process.execPath,
    ...START_FLAGS,
    program,
    '--quiet',
    ...(unit === 'kept' ? ['--keep-unit'] : []),
    '--boot',
    '--link-journal=try-guest',
    '--settings=override',
    '--private-network',
    '-U',
    ...(machinesDirectory === undefined ? [] : [`--machines-dir=${machinesDirectory}`]),
    `--machine=${name}`,
  ]
}
