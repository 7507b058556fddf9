/** Logs of trees that were made or updated long ago: nobody reads them any more. */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'

const keptMs = 30 * 86_400_000

export interface OldLog {
  readonly path: string
  readonly bytes: number
}

/** Those of `create` and `update` that have not been written to for 30 days. */
export function oldLogs(stateDirectory: string): OldLog[] {
  const directory = join(stateDirectory, 'logs')
  return namesIn(directory).flatMap((name) => {
    if (!/^(create|update)-.*\.log(\.old)?$/.test(name)) return []
    const path = join(directory, name)
    const facts = statSync(path, { throwIfNoEntry: false })
    const old = facts?.isFile() === true && Date.now() - facts.mtimeMs > keptMs
    return old ? [{ path, bytes: facts.size }] : []
  })
}

/** Removes them, and tells which. */
export function dropOldLogs(stateDirectory: string): OldLog[] {
  const logs = oldLogs(stateDirectory)
  for (const { path } of logs) rmSync(path, { force: true })
  return logs
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
