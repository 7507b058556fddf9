/** The one place that knows where things lie, on the host and in this package. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { usageError } from './errors.ts'

/** Where images live unless `--machines-dir` or TSNSPAWN_MACHINES_DIR says otherwise. */
export function machinesDirectory(override?: string): string {
  return override ?? process.env['TSNSPAWN_MACHINES_DIR'] ?? '/var/lib/machines'
}

/** Layers, caches and build history: TSNSPAWN_STATE_DIR, else /var/lib/tsnspawn. */
export function stateDirectory(override?: string): string {
  return override ?? process.env['TSNSPAWN_STATE_DIR'] ?? '/var/lib/tsnspawn'
}

/** What need not survive a boot (locks, picked id ranges): TSNSPAWN_RUNTIME_DIR, else /run/tsnspawn. */
export function runtimeDirectory(): string {
  return process.env['TSNSPAWN_RUNTIME_DIR'] ?? '/run/tsnspawn'
}

/** What an administrator decides: TSNSPAWN_CONFIG_DIR, else /etc/tsnspawn. */
export function configDirectory(): string {
  return process.env['TSNSPAWN_CONFIG_DIR'] ?? '/etc/tsnspawn'
}

/** Where supervisors say which machines run. */
export function registryDirectory(): string {
  return join(runtimeDirectory(), 'machines')
}

/** What moves our directories, for a program of ours that is started with an environment of its own. */
export function placesEnvironment(): Record<string, string> {
  const places = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      /^TSNSPAWN_[A-Z]+_DIR$/.test(entry[0]) && entry[1] !== undefined,
  )
  return Object.fromEntries(places)
}

/**
 * Refuses a directory for our own files where nobody can make any: Node's recursive mkdir never ends there.
 *
 * @param path absolute
 * @throws NspawnError (`USAGE`)
 */
export function refuseKernelDirectory(path: string, what: string): void {
  if (!/^\/(?:proc|sys)(?:\/|$)/.test(path)) return
  throw usageError(`the ${what} cannot lie in a file system of the kernel: ${path}`)
}

/** The top of this package: the nearest directory above the running program with `templates/`. */
export function packageDirectory(from: string): string {
  for (let dir = from; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'templates')) && existsSync(join(dir, 'package.json'))) return dir
    if (dir === '/') throw new Error(`no package directory above ${from}`)
  }
}
