/** Who made a thing that a kill -9 may leave behind: a pid and its start time, which no later process shares. */
import { readFileSync } from 'node:fs'

export interface Owner {
  readonly pid: number
  /** Clock ticks after boot (proc(5), field 22). */
  readonly startTime: number
}

/** A process by its pid, or this very one; undefined when there is none. */
export function ownerOf(process: number | 'self'): Owner | undefined {
  try {
    const stat = readFileSync(`/proc/${process}/stat`, 'latin1')
    const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
    return { pid: Number.parseInt(stat, 10), startTime }
  } catch {
    return undefined
  }
}

/** This process, as it goes into a name: `PID-STARTTIME`. A forked one is told its own, which `process.pid` is not. */
export function ownOwner(): string {
  const own = ownerOf('self') ?? { pid: process.pid, startTime: 0 }
  return `${own.pid}-${own.startTime}`
}

export function parseOwner(text: string): Owner | undefined {
  const match = /^(\d+)-(\d+)$/.exec(text)
  return match === null ? undefined : { pid: Number(match[1]), startTime: Number(match[2]) }
}

/** Whether a name that an owner was put into says one that is gone: nobody else will take such a thing away. */
export function isLeftBehind(name: string, pattern: RegExp): boolean {
  const owner = parseOwner(pattern.exec(name)?.[1] ?? '')
  return owner !== undefined && !isOwnerAlive(owner)
}

export function isOwnerAlive(owner: Owner): boolean {
  return ownerOf(owner.pid)?.startTime === owner.startTime
}
