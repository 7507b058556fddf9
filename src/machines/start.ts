/** Starting a machine in the background, on hosts where no service manager does it (machinectl(1): start). */
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'
import { NspawnError } from '../errors.ts'
import { placesEnvironment } from '../paths.ts'
import { programEnvironment, startDetached } from '../process.ts'
import { findClaim, type MachineRecord } from '../runtime/registry.ts'
import { serviceCommand } from './service.ts'

export interface StartPlaces {
  /** `--machines-dir`; undefined for the standard places. */
  readonly machinesDirectory: string | undefined
  readonly stateDirectory: string
}

const LOOK_MS = 50
const START_TIMEOUT_MS = 90_000
const LOG_LINES = 5

/** Where the console of a machine that `start` has started goes. */
export function consoleLog(name: string, stateDirectory: string): string {
  return join(stateDirectory, 'logs', `machine-${name}.log`)
}

/**
 * Boots the image of this name as a machine of this name.
 *
 * @returns when its init runs; at once when the machine runs already
 * @throws NspawnError `MACHINE_FAILED` with the last lines of its console, `TIMED_OUT`
 */
export async function startInBackground(
  name: string,
  places: StartPlaces,
): Promise<'started' | 'running'> {
  if (await isComingUp(name)) return 'running'
  const path = consoleLog(name, places.stateDirectory)
  const log = openLog(path, places.stateDirectory)
  const env = programEnvironment({ TERM: 'dumb', ...placesEnvironment() })
  const argv = serviceCommand(name, 'none', places.machinesDirectory)
  const starting = startDetached(`cannot start machine ${name}`, argv, { log, env })
  const { pid, ended } = await starting.finally(() => closeSync(log))
  let how: string | undefined
  void ended.then((end) => (how = end))
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  for (;;) {
    const claim = findClaim(name)
    if (claim?.supervisor.pid === pid && claim.state === 'running') return 'started'
    if (how !== undefined) {
      throw new NspawnError(`machine ${name} did not come up (${how})${lastLines(path)}`, {
        code: 'MACHINE_FAILED',
        subject: name,
        log: path,
      })
    }
    if (performance.now() > deadlineMs) throw notReady(name, path)
    await sleep(LOOK_MS)
  }
}

/** Waits for a machine of this name that somebody has begun to start. @returns whether it runs */
async function isComingUp(name: string): Promise<boolean> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS
  for (let claim = findClaim(name); claim !== undefined; claim = findClaim(name)) {
    if (claim.state === 'running') return true
    if (performance.now() > deadlineMs) throw notReady(name, undefined)
    await sleep(LOOK_MS)
  }
  return false
}

function notReady(name: string, log: string | undefined): NspawnError {
  return new NspawnError(`machine ${name} is not ready yet`, {
    code: 'TIMED_OUT',
    subject: name,
    log,
    hint: 'it goes on; tsnspawn-build terminate ends it',
  })
}

/**
 * The last lines of the console of a machine that `start` has started.
 *
 * @returns undefined for any other machine
 */
export function recentConsole(
  machine: MachineRecord,
  stateDirectory: string,
  lines: number,
): string[] | undefined {
  const path = consoleLog(machine.name, stateDirectory)
  try {
    if (readlinkSync(`/proc/${machine.supervisor.pid}/fd/1`) !== path) return undefined
    return lines === 0 ? [] : endOf(path, lines)
  } catch (error) {
    // Gone meanwhile, or not ours to look at.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EACCES') return undefined
    throw error
  }
}

/** The log of the run before is kept beside it. */
function openLog(path: string, stateDirectory: string): number {
  mkdirSync(join(stateDirectory, 'logs'), { recursive: true, mode: 0o755 })
  try {
    renameSync(path, `${path}.old`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return openSync(path, 'a', 0o600)
}

function lastLines(path: string): string {
  const lines = endOf(path, LOG_LINES)
  return lines.join('') === '' ? '' : `:\n  ${lines.join('\n  ')}`
}

const END_BYTES = 64 * 1024

/** The last lines of a file, without blanks at their ends, and without the sequences that colour a terminal. */
function endOf(path: string, lines: number): string[] {
  const fd = openSync(path, 'r')
  try {
    const { size } = fstatSync(fd)
    const buffer = Buffer.alloc(Math.min(size, END_BYTES))
    const length = readSync(fd, buffer, 0, buffer.length, size - buffer.length)
    const text = stripVTControlCharacters(buffer.toString('utf8', 0, length)).replace(/\s+$/, '')
    return text
      .split('\n')
      .slice(-lines)
      .map((line) => line.trimEnd())
  } finally {
    closeSync(fd)
  }
}
