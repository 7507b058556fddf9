/** Runs a maker of file systems: in plain English, and with no other time than the one that is given. */
import { dirname } from 'node:path'
import { findProgram } from '../../find-program.ts'
import { programEnvironment, runProgram, type ProgramOptions } from '../../process.ts'
import type { FileSystemRequest } from './file-system.ts'

/** @param argv the program's name comes first */
export async function runTool(
  { image, signal }: Pick<FileSystemRequest, 'image' | 'signal'>,
  argv: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
  options: Pick<ProgramOptions, 'terminate' | 'stdout'> = {},
): Promise<{ stdout: string; stderr: string }> {
  const [program, ...args] = argv
  return await runProgram(
    'cannot make the file system',
    [findProgram(program) ?? program, ...args],
    {
      ...options,
      cwd: dirname(image),
      env: programEnvironment({ LC_ALL: 'C', TZ: 'UTC', ...env }),
      signal,
    },
  )
}
