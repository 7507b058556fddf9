/**
 * The host directory that mounts are moved into a running container through (/run/host/incoming in it). machined
 * knows it by the machine's name. Beside it each run has a directory of its own, named after machine and owner, by
 * which the next run finds what a killed one left; it serves as the source itself while another run of the same
 * name is alive.
 */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { CleanupStack } from '../cleanup.ts'
import { runtimeDirectory } from '../paths.ts'
import { isOwnerAlive, ownOwner, parseOwner } from '../owner.ts'

const BY_NAME = '/run/systemd/nspawn/propagate'
const MODE = 0o600

/** A process may run several containers of one name. */
let count = 0

/** The directory that a run of `machine` has unless another one of that name is alive. */
export function sharedPropagateDirectory(machine: string): string {
  return join(BY_NAME, machine)
}

/** @returns the directory to bind */
export function makePropagateDirectory(machine: string, cleanup: CleanupStack): string {
  const runs = join(runtimeDirectory(), 'propagate')
  mkdirSync(runs, { recursive: true, mode: 0o700 })
  const shared = removeDead(runs, machine)
  const own = join(runs, `${machine}~${count++}.${ownOwner()}`)
  mkdirSync(own, { recursive: true, mode: MODE })
  cleanup.defer(`propagation directory ${own}`, () => removeIfEmpty(own))
  if (shared) return own
  mkdirSync(BY_NAME, { recursive: true, mode: MODE })
  const byName = sharedPropagateDirectory(machine)
  mkdirSync(byName, { recursive: true, mode: MODE })
  cleanup.defer(`propagation directory ${byName}`, () => removeIfEmpty(byName))
  return byName
}

/** Removes what dead runs left, of `machine` also what the original left. Nobody runs it meanwhile. */
export function removeStalePropagateDirectories(machine: string): void {
  const runs = join(runtimeDirectory(), 'propagate')
  if (existsSync(runs) && removeDead(runs, machine)) return
  removeIfEmpty(join(BY_NAME, machine))
}

/**
 * Removes what dead runs left.
 *
 * @returns whether another run of this machine is alive
 */
function removeDead(runs: string, machine: string): boolean {
  let alive = false
  for (const entry of readdirSync(runs)) {
    const [, name, owner] = /^(.*)~\d+\.(\d+-\d+)$/.exec(entry) ?? []
    const parsed = owner === undefined ? undefined : parseOwner(owner)
    if (name === undefined || parsed === undefined) continue
    if (isOwnerAlive(parsed)) {
      if (name === machine) alive = true
      continue
    }
    removeIfEmpty(join(BY_NAME, name))
    removeIfEmpty(join(runs, entry))
  }
  return alive
}

/** Gone already, in use as a mount point elsewhere, or holding somebody's mounts: not ours to force. */
function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error
  }
}
