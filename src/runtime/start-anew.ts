/** Starting the running program once more, in the place of itself: under the same pid, with the same words. */
import { duplicateTo } from '../sys/fd.ts'
import { setPropagation, MS_REC, MS_SLAVE } from '../sys/mount.ts'
import { unshare, CLONE_NEWNS } from '../sys/namespaces.ts'
import { execute } from '../sys/process.ts'

/** Set for a program that has been started anew in mounts of its own. */
const OWN_MOUNTS = 'TSNSPAWN_OWN_MOUNTS'

/**
 * @param flags for Node, beside those that it has
 * @param variables of the environment, beside those that there are
 */
export function startAnew(
  flags: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): never {
  // Node marks what it inherited close-on-exec: its stdio, and what a service manager passed.
  const passed = Number(process.env['LISTEN_FDS'] ?? 0)
  for (let fd = 0; fd < 3 + passed; fd++) duplicateTo(fd, fd)
  const argv = [process.execPath, ...process.execArgv, ...flags, ...process.argv.slice(1)]
  const environment = Object.entries({ ...process.env, ...variables }).map(
    ([name, value]) => `${name}=${value ?? ''}`,
  )
  return execute(process.execPath, argv, environment)
}

/**
 * Starts this program anew in a mount namespace of its own, once: what it mounts there goes away with it and the
 * containers that it has started, however they end, and nobody else sees it.
 */
export function ensureOwnMounts(): void {
  if (process.env[OWN_MOUNTS] === 'yes') {
    delete process.env[OWN_MOUNTS]
    return
  }
  // Of this thread alone, which is the one that goes on.
  unshare(CLONE_NEWNS, 'cannot make a mount namespace')
  setPropagation('/', MS_SLAVE | MS_REC)
  startAnew([], { [OWN_MOUNTS]: 'yes' })
}
