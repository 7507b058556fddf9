/** Sees to it that Node runs with the flags that a fork needs. */
import { duplicateTo } from '../sys/fd.ts'
import { execute } from '../sys/process.ts'
import { hasForkSafeFlags, START_FLAGS } from './fork-safe-flags.ts'

/** Starts this program anew when Node was started without the flags; the launcher's first line has them. */
export function ensureForkSafe(): void {
  if (hasForkSafeFlags()) return
  // Node marks what it inherited close-on-exec: its stdio, and what a service manager passed.
  const passed = Number(process.env['LISTEN_FDS'] ?? 0)
  for (let fd = 0; fd < 3 + passed; fd++) duplicateTo(fd, fd)
  const argv = [process.execPath, ...process.execArgv, ...START_FLAGS, ...process.argv.slice(1)]
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value ?? ''}`)
  execute(process.execPath, argv, environment)
}
