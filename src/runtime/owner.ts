/** Who made a thing that a kill -9 may leave behind: a pid and its start time, which no later process shares. */
import { readFileSync } from 'node:fs'

export interface Owner {
  readonly pid: number
  /** Clock ticks after boot (proc(5), field 22). */
  readonly startTime: number
}

function startTimeOf(pid: number | 'self'): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return undefined
  }
}

/** This process, as it goes into a name: `PID-STARTTIME`. */
export function ownOwner(): string {
  return `${process.pid}-${startTimeOf('self') ?? 0}`
}

export function parseOwner(text: string): Owner | undefined {
  const match = /^(\d+)-(\d+)$/.exec(text)
  return match === null ? undefined : { pid: Number(match[1]), startTime: Number(match[2]) }
}

export function isOwnerAlive(owner: Owner): boolean {
  return startTimeOf(owner.pid) === owner.startTime
}
