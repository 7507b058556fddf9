/** `tsnspawn-build` with a machines directory of the test's own, run to its end or started. */
import { execa, type Options } from 'execa'
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { tsnspawnBuild } from '../../fixtures/programs.ts'
import { temporaryDirectory } from '../../fixtures/temporary.ts'

export interface BuildProgram extends AsyncDisposable {
  /** For files of the test. */
  readonly path: string
  readonly machines: string
  /** Names in the machines directory, those of hidden things too. */
  entries(): string[]
  /** Runs it to its end; a failure is told by the status. */
  run(args: readonly string[], options?: Options): Promise<Ended>
  start(args: readonly string[], options?: Options): Running
}

export type Running = ReturnType<typeof execa>

export interface Ended {
  readonly status: number | undefined
  readonly stderr: string
  readonly stdout: string
}

/** @param machines in place of a fresh directory */
export async function buildProgram(machines?: string): Promise<BuildProgram> {
  const dir = await temporaryDirectory()
  const where = machines ?? join(dir.path, 'machines')
  if (machines === undefined) mkdirSync(where)
  const start = (args: readonly string[], options: Options = {}): Running => {
    const [program, ...rest] = tsnspawnBuild('--machines-dir', where, ...args)
    const env = { TSNSPAWN_RUNTIME_DIR: join(dir.path, 'run') }
    return execa(program, rest, { reject: false, stdin: 'ignore', env, ...options }) as Running
  }
  return {
    path: dir.path,
    machines: where,
    entries: () => readdirSync(where).toSorted(),
    start,
    run: async (args, options) => {
      const { exitCode, stdout, stderr } = await start(args, options)
      return { status: exitCode, stdout: String(stdout ?? ''), stderr: String(stderr ?? '') }
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  }
}

/** A descriptor as standard input, as a shell redirects; execa's types only know those of the caller's own streams. */
export function fromDescriptor(fd: number): NonNullable<Options['stdin']> {
  return fd as 0
}
