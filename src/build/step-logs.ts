/** One log a step, beside `build.log`: cut out of it when the build has ended, so that nothing is written twice meanwhile. */
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { missing } from '../read-if-there.ts'
import { stepLogsName } from './own-names.ts'
import type { StepRecord } from './record.ts'

const form = /^\d{2,4}-[A-Za-z0-9._-]+\.log$/

/**
 * The name of a step's log, beside `build.log`.
 *
 * @param index from 0, in the order in which steps are run
 * @param id of the step
 */
export function stepLogName(index: number, id: string): string {
  return `${stepLogsName}/${String(index + 1).padStart(2, '0')}-${id}.log`
}

/**
 * Writes the logs of steps below `directory`, where none of them may be yet.
 *
 * @param log path of the whole
 * @returns their names
 */
export async function writeStepLogs(
  log: string,
  steps: readonly StepRecord[],
  directory: string,
): Promise<readonly string[]> {
  if (steps.length === 0) return []
  await mkdir(join(directory, stepLogsName))
  for (const { log: part } of steps)
    await pipeline(stepLog(log, part), createWriteStream(join(directory, part.name)))
  return steps.map(({ log: { name } }) => name)
}

/** The part of a log that a step has written. */
export function stepLog(log: string, { from, to }: StepRecord['log']): NodeJS.ReadableStream {
  // An end before the start is an error to Node; a step always writes its banner.
  return createReadStream(log, { start: from, end: to - 1 })
}

/** Removes the logs of steps that an earlier build has left in an output directory, and this one does not have. */
export async function removeOldStepLogs(
  outputDirectory: string,
  names: readonly string[],
): Promise<void> {
  const directory = join(outputDirectory, stepLogsName)
  const facts = await lstat(directory).catch(missing)
  if (facts?.isDirectory() !== true) return
  for (const name of await readdir(directory)) {
    if (form.test(name) && !names.includes(`${stepLogsName}/${name}`))
      await rm(join(directory, name), { force: true })
  }
}
