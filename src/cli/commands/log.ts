/** `log [BUILD]`: what a build has said, all of it or one step; of one that runs, as far as it has come. */
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { findBuild, listBuilds, logOf, readRecord, type KnownBuild } from '../../build/history.ts'
import type { StepRecord } from '../../build/record.ts'
import { stepLog } from '../../build/step-logs.ts'
import { NspawnError, usageError } from '../../errors.ts'
import type { VerbModule } from '../context.ts'
import { requireRoot } from '../root.ts'

interface LogOptions {
  readonly step?: string
  readonly path?: boolean
}

export const define: VerbModule['define'] = (command, run) => {
  command
    .argument('[build]', 'its id, a beginning or end of it, or what was built; default the latest')
    .option('--step <step>', 'only what this step has said, by its id')
    .option('--path', 'say where the log is, and nothing else')
    .option('--no-pager', 'changes nothing, there is no pager')
    .action((words: string | undefined, options: LogOptions) =>
      run(async (context) => {
        if (options.path === true && options.step !== undefined)
          throw usageError('give --path or --step, not both', 'a step is a part of the log')
        requireRoot('reading logs of builds')
        const build = findBuild(await listBuilds(context.stateDirectory), words)
        const path = logOf(build)
        if (context.style === 'json' || options.path === true) {
          const record = await readRecord(build)
          context.result({ id: build.id, state: build.state, path, steps: record?.steps }, path)
          return 0
        }
        const log =
          options.step === undefined
            ? createReadStream(path)
            : stepLog(path, (await stepOf(build, options.step)).log)
        await print(log)
        return 0
      }),
    )
}

async function stepOf(build: KnownBuild, id: string): Promise<StepRecord> {
  const record = await readRecord(build)
  if (record === undefined) {
    throw usageError(
      `the steps of build ${build.id} are not known: it ${build.state === 'running' ? 'still runs' : 'was killed'}`,
      'read the whole log',
    )
  }
  const step = record.steps.find((one) => one.id === id)
  if (step !== undefined) return step
  throw usageError(
    `build ${build.id} has no step ${id}`,
    `there are: ${record.steps.map((one) => one.id).join(', ')}`,
  )
}

async function print(log: NodeJS.ReadableStream): Promise<void> {
  try {
    await pipeline(log, process.stdout, { end: false })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Whoever reads has seen enough.
    if (code === 'EPIPE') return
    if (code !== 'ENOENT') throw error
    throw new NspawnError('the log of this build is gone', {
      code: 'NO_SUCH_BUILD',
      operation: 'read log',
      cause: error,
    })
  }
}
