/** Writes down which files of its root a container opens, for who wants to know what it did not need. */
import { closeSync, openSync, writeSync } from 'node:fs'
import type { CleanupStack } from '../cleanup.ts'
import { OpenWatch } from '../sys/fanotify.ts'
import type { Watched } from './supervisor.ts'

export interface OpenedFiles {
  /** Begins with the leader of the container, whose root is assembled and whose payload is not started. */
  begin(pid: number): void
  readonly watched: Watched
}

/**
 * @param path of a file on the host that is made, see `Settings.openedFiles`
 * @param cleanup writes what is still to be told, and closes
 */
export function recordOpenedFiles(path: string, cleanup: CleanupStack): OpenedFiles {
  const file = openSync(path, 'wx', 0o600)
  cleanup.defer(`list of opened files ${path}`, () => closeSync(file))
  const watch = new OpenWatch()
  const drain = (): void => {
    const paths: string[] = []
    if (!watch.drain((one) => paths.push(one))) paths.push('')
    if (paths.length > 0) writeSync(file, paths.map((one) => `${one}\0`).join(''))
  }
  cleanup.defer('watch for opened files', () => {
    try {
      drain()
    } finally {
      watch.close()
    }
  })
  return {
    begin: (pid) => watch.watch(`/proc/${pid}/root`),
    watched: { fd: watch.fd, onEvents: drain },
  }
}
