/** A command in a system that is booted for it, and ended at once when the command has. */
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ResultDirectory } from '../build/results.ts'
import { findInTree } from '../build/tree-path.ts'
import { NspawnError } from '../errors.ts'
import { Machine } from '../machines/machine.ts'
import type { ProgramResult } from '../process.ts'
import { isOwnerAlive } from '../owner.ts'
import { runContainer } from '../runtime/client.ts'
import { findClaim } from '../runtime/registry.ts'
import type { Settings } from '../settings/settings.ts'
import type { TestCase } from './suite.ts'

const LOOK_MS = 20
const markLimitBytes = 4096

/**
 * Whether the init tells when it is up.
 *
 * @param layers host directories
 */
export function initOf(layers: readonly string[]): 'systemd' | 'other' {
  const places = ['usr/lib/systemd/systemd', 'lib/systemd/systemd']
  const isThere = (path: string) => layers.some((one) => findInTree(one, path) !== undefined)
  return places.some(isThere) ? 'systemd' : 'other'
}

/** Whether there is an init; the layers as for `initOf()`. */
export function initIn(layers: readonly string[]): boolean {
  const places = ['sbin/init', 'usr/sbin/init', 'usr/lib/systemd/systemd', 'lib/systemd/systemd']
  return places.some((path) => layers.some((one) => findInTree(one, path) !== undefined))
}

export interface SystemRun {
  readonly settings: Settings
  readonly test: TestCase
  /** Host directory of what the system writes. */
  readonly upper: string
  /** Hears what the system prints while it lives. */
  readonly onConsole: (line: string) => void
  readonly signal: AbortSignal | undefined
}

/**
 * Boots, runs the command of the case, and ends the system.
 *
 * @returns undefined when the time ran out
 * @throws NspawnError `MACHINE_FAILED` when the system does not come up; as `runContainer()`; `CANCELED`
 */
export async function runInSystem(run: SystemRun): Promise<ProgramResult | undefined> {
  const { settings, test, onConsole, signal } = run
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), test.timeoutMs)
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])
  const system = new System(settings, onConsole, either)
  let timedOut = false
  try {
    return await runUntilItEnds(system, run, either)
  } catch (error) {
    timedOut = over.signal.aborted && signal?.aborted !== true
    if (timedOut) return undefined
    throw error
  } finally {
    clearTimeout(timer)
    over.abort()
    await system.ended
  }
}

/** Runs the command, again after each restart that it asks for; what it says is added up. */
async function runUntilItEnds(
  system: System,
  { test, upper }: SystemRun,
  signal: AbortSignal,
): Promise<ProgramResult> {
  const said = { stdout: '', stderr: '' }
  let machine = await system.isUp(signal)
  let mark: string | undefined
  for (;;) {
    const result = await machine.run(
      ['/bin/sh', '-c', 'cd "$0" && exec "$@"', test.directory, ...test.command],
      {
        user: test.user,
        environment: {
          ...test.environment,
          ...(mark === undefined ? {} : { [test.rebootMark!.variable]: mark }),
        },
        signal,
      },
    )
    for (const stream of ['stdout', 'stderr'] as const)
      if (result[stream] !== '') said[stream] += `${result[stream]}\n`
    mark = test.rebootMark && (await readMark(upper, test.rebootMark.file))
    if (mark === undefined) return { ...result, ...said }
    // Some restart it themselves.
    if (machine.isRunning()) machine.reboot()
    await machine.ended(signal)
    machine = await system.isUp(signal)
  }
}

/** The word in the file, read without following what the system may have put in its place. */
async function readMark(upper: string, file: string): Promise<string | undefined> {
  const directory = await ResultDirectory.openIfThere(upper, dirname(file))
  if (directory === undefined) return undefined
  await using place = directory
  const name = basename(file)
  return (await place.names()).includes(name)
    ? await place.readText(name, markLimitBytes)
    : undefined
}

class System {
  /** Never rejects. */
  readonly ended: Promise<void>
  private failure: unknown
  private over = false
  private readonly name: string

  constructor(settings: Settings, onConsole: (line: string) => void, signal: AbortSignal) {
    this.name = settings.machine!
    this.ended = runContainer({ settings, stdio: 'lines', onLine: onConsole, signal })
      .then(
        ({ status }) => {
          this.failure = new NspawnError(`the system has ended by itself, with status ${status}`, {
            code: 'MACHINE_FAILED',
            operation: 'boot',
          })
        },
        (error: unknown) => {
          this.failure = error
        },
      )
      .finally(() => {
        this.over = true
      })
  }

  async isUp(signal: AbortSignal): Promise<Machine> {
    for (;;) {
      // Of one that starts anew the record of the run before may still be there.
      const claim = findClaim(this.name)
      if (claim?.state === 'running' && claim.leader !== null && isOwnerAlive(claim.leader))
        return Machine.get(this.name)
      if (this.over) throw this.failure
      await sleep(LOOK_MS, undefined, { signal })
    }
  }
}
