/** The processes of a machine, and signals to them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { NspawnError } from '../errors.ts'
import { isOwnerAlive, ownerOf, type Owner } from '../owner.ts'
import { close } from '../sys/fd.ts'
import { openPidfd, signalPidfd } from '../sys/process.ts'
import type { RunningMachine } from '../runtime/registry.ts'

export interface MachineProcess extends Owner {
  /** Arguments with blanks between; a kernel-made name in brackets where there are none. */
  readonly commandLine: string
}

/**
 * Everybody in the machine's pid namespace and below, by pid. Pid namespaces nest, so a container within the machine
 * is found through its parents.
 *
 * @returns undefined when the caller may not see which namespace a process is in
 */
export function machineProcesses(machine: RunningMachine): MachineProcess[] | undefined {
  const namespace = namespaceOf(machine.leader.pid)
  if (namespace === 'hidden') return undefined
  // Looked at afterwards, so the link was the leader's: a later process of its pid may be the host's.
  if (namespace === undefined || !isOwnerAlive(machine.leader)) return []
  const parents = new Map<number, number>()
  const inside = new Set<number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const pid = Number(name)
    const parent = parentOf(pid)
    if (parent === undefined) continue
    parents.set(pid, parent)
    if (namespaceOf(pid) === namespace) inside.add(pid)
  }
  const belongs = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)) {
      if (inside.has(at)) return true
    }
    return false
  }
  return [...parents.keys()]
    .filter(belongs)
    .toSorted((a, b) => a - b)
    .flatMap((pid) => {
      const owner = ownerOf(pid)
      return owner === undefined ? [] : [{ ...owner, commandLine: commandLineOf(pid) }]
    })
}

/** The name of a process as the kernel keeps it; undefined when it is gone. */
export function processName(pid: number): string | undefined {
  return readOf(pid, 'comm')?.trimEnd()
}

/** Sends a signal to this very process, never to a later one of the same pid. */
export function signalProcess(process: Owner, signal: number): void {
  let pidfd: number
  try {
    pidfd = openPidfd(process.pid)
  } catch (error) {
    if (error instanceof NspawnError && error.code === 'ESRCH') return
    throw error
  }
  try {
    if (ownerOf(process.pid)?.startTime === process.startTime) signalPidfd(pidfd, signal)
  } finally {
    close(pidfd)
  }
}

const PF_EXITING = 0x4

/** Whether a process has ended or is about to: the first of a pid namespace waits there until all others are gone. */
export function isEnding(process: Owner): boolean {
  if (!isOwnerAlive(process)) return true
  return ((statField(process.pid, 9) ?? 0) & PF_EXITING) !== 0
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'hidden' : undefined
  }
}

function parentOf(pid: number): number | undefined {
  return statField(pid, 4)
}

/** A number of /proc/PID/stat, counted as in proc(5); those before the fourth are none. */
function statField(pid: number, field: number): number | undefined {
  const stat = readOf(pid, 'stat')
  if (stat === undefined) return undefined
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field - 3])
}

function commandLineOf(pid: number): string {
  const text = readOf(pid, 'cmdline')?.replace(/\0+$/, '').replaceAll('\0', ' ')
  return text === undefined || text === '' ? `[${processName(pid) ?? ''}]` : text
}

/** A file of a process; undefined when that has ended. */
function readOf(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return undefined
  }
}
