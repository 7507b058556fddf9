/** A command in a system that is booted for it, and ended at once when the command has. */
import { setTimeout as sleep } from 'node:timers/promises'
import { findInTree } from '../build/tree-path.ts'
import { NspawnError } from '../errors.ts'
import { Machine } from '../machines/machine.ts'
import type { ProgramResult } from '../process.ts'
import { runContainer } from '../runtime/client.ts'
import { findClaim } from '../runtime/registry.ts'
import type { Settings } from '../settings/settings.ts'
import type { TestCase } from './suite.ts'

const LOOK_MS = 20

/** Whether the tree's init tells when it is up. */
export function initOf(tree: string): 'systemd' | 'other' {
  const places = ['usr/lib/systemd/systemd', 'lib/systemd/systemd']
  return places.some((path) => findInTree(tree, path) !== undefined) ? 'systemd' : 'other'
}

/**
 * Boots, runs the command of the case, and ends the system.
 *
 * @param onConsole hears what the system prints while it lives
 * @returns undefined when the time ran out
 * @throws NspawnError `MACHINE_FAILED` when the system does not come up; as `runContainer()`; `CANCELED`
 */
export async function runInSystem(
  settings: Settings,
  test: TestCase,
  onConsole: (line: string) => void,
  signal: AbortSignal | undefined,
): Promise<ProgramResult | undefined> {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(), test.timeoutMs)
  const either = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])
  const system = new System(settings, onConsole, either)
  let timedOut = false
  try {
    const machine = await system.isUp(either)
    return await machine.run(
      ['/bin/sh', '-c', 'cd "$0" && exec "$@"', test.directory, ...test.command],
      {
        user: test.user,
        environment: test.environment,
        signal: either,
      },
    )
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
    while (findClaim(this.name)?.state !== 'running') {
      if (this.over) throw this.failure
      await sleep(LOOK_MS, undefined, { signal })
    }
    return Machine.get(this.name)
  }
}
