/**
 * How the upper rooms (bootstrap, build, testing, cli) run a container: a process of the lean runtime
 * is started with the settings on descriptor 3, and answers there with one typed outcome.
 *
 * In: `Settings`, and where stdio goes. Out: how the payload ended. The runtime process dies with its
 * caller, and takes the container along.
 */
import type { Settings } from '../settings/settings.ts'

export interface ContainerRun {
  readonly settings: Settings
  /**
   * `inherit` gives the payload the caller's own stdio (a pty in between when it is a terminal);
   * `lines` hands each line of output to `onLine`, with stdin empty; `capture` collects it.
   */
  readonly stdio: 'inherit' | 'lines' | 'capture'
  readonly onLine?: ((line: string, stream: 'stdout' | 'stderr') => void) | undefined
  /** Aborting ends the container at once and rejects with code `CANCELED`. */
  readonly signal?: AbortSignal | undefined
  /** After this long the container is killed and the outcome says `timed out`. */
  readonly timeoutMs?: number | undefined
}

export interface ContainerOutcome {
  /** Exit status of the payload; 255 when it was killed by a signal under the stub init. */
  readonly status: number
  readonly timedOut: boolean
  readonly durationMs: number
  /** What was captured; empty strings unless `stdio` is `capture`. */
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs one container to its end.
 *
 * @throws NspawnError when the container could not be set up or the payload not be executed; a
 *   payload that fails is an outcome, not an error
 */
export declare function runContainer(run: ContainerRun): Promise<ContainerOutcome>
