/** Whether a process is ready for a signal that asks it to end in good order. */
import { constants } from 'node:os'
import { readIfThere } from '../read-if-there.ts'

/**
 * The first process of a pid namespace never gets a signal that it neither handles nor blocks (pid_namespaces(7)), so
 * one that comes before an init has set itself up is lost.
 *
 * @param pid as the host sees it
 * @returns `not yet` also when there is no such process; `ready` when the signal is handled, or blocked to be waited for (proc(5), SigCgt and SigBlk); `unclear`
 *   when every signal is blocked, as while a process forks, though some inits keep it so
 */
export function readinessFor(signal: number, pid: number): 'ready' | 'unclear' | 'not yet' {
  const status = readIfThere(`/proc/${pid}/status`)
  const has = (field: string, number: number): boolean => {
    const mask = new RegExp(`^${field}:\\s*([0-9a-f]+)`, 'm').exec(status)?.[1] ?? '0'
    return ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n
  }
  if (has('SigCgt', signal)) return 'ready'
  if (!has('SigBlk', signal)) return 'not yet'
  // Nobody waits for a fault of his own.
  return has('SigBlk', constants.signals.SIGSEGV) ? 'unclear' : 'ready'
}
