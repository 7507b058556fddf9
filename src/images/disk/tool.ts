/**
 * Runs a maker of file systems: in plain English, with no other time than the one that is given, and never longer than we
 * live, for it would go on writing into what the next run removes.
 */
import { dirname } from 'node:path'
import { findProgram } from '../../find-program.ts'
import { isolated, killIsolated } from '../../isolation.ts'
import { programEnvironment, runProgram, type ProgramOptions } from '../../process.ts'
import type { FileSystemRequest } from './file-system.ts'

/**
 * @param argv the program's name comes first; nobody else sees what it mounts
 * @throws NspawnError `PROGRAM_…`, `CANCELED`
 */
export async function runTool(
  { image, signal }: Pick<FileSystemRequest, 'image' | 'signal'>,
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
  options: Pick<ProgramOptions, 'stdout'> = {},
): Promise<{ stdout: string; stderr: string }> {
  const [program, ...args] = argv
  const path = findProgram(program) ?? program
  return await runProgram('cannot make the file system', isolated([path, ...args]), {
    ...options,
    cwd: dirname(image),
    env: programEnvironment({ LC_ALL: 'C', TZ: 'UTC', ...env }),
    signal,
    terminate: killIsolated,
  })
}
