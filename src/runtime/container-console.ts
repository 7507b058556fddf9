/** The container's side of the console: a pseudo terminal of its own, or just the descriptors it was started with. */
import { symlinkSync } from 'node:fs'
import type { ContainerPlan } from '../plan/plan.ts'
import { close, duplicateTo } from '../sys/fd.ts'
import { makeControllingTerminal, openPty, openPtyPeer } from '../sys/pty.ts'
import { setWindowSize } from '../sys/termios.ts'

/**
 * Opens the pty within the container's devpts and makes it stdin, stdout and stderr.
 *
 * @returns the master, for the supervisor; undefined when the console is a pipe
 */
export function takeConsole(plan: ContainerPlan): number | undefined {
  if (plan.console === 'pipe') {
    // Node marks its stdio close-on-exec.
    for (const fd of [0, 1, 2]) duplicateTo(fd, fd)
    return undefined
  }
  const pty = openPty('/dev/pts')
  symlinkSync(`pts/${pty.number}`, '/dev/console')
  const slave = openPtyPeer(pty, '/dev/pts')
  if (plan.consoleSize !== undefined)
    setWindowSize(slave, { ...plan.consoleSize, width: 0, height: 0 })
  for (const target of [0, 1, 2]) duplicateTo(slave, target)
  if (slave > 2) close(slave)
  return pty.master
}

/** Makes stdin the controlling terminal of the session that this process leads. */
export function takeControllingTerminal(plan: ContainerPlan): void {
  if (plan.console !== 'pipe') makeControllingTerminal(0)
}
