/** Node's flags for whatever forks; in a file of its own, since the launcher loads nothing else. */

/** The V8 flags without which a forked child hangs, waiting for threads that it does not have. */
export const FORK_SAFE_FLAGS = [
  '--single-threaded-gc',
  '--no-concurrent-recompilation',
  '--no-concurrent-sparkplug',
] as const

/** Whether this process was started with them. */
export function hasForkSafeFlags(): boolean {
  return FORK_SAFE_FLAGS.every((flag) => process.execArgv.includes(flag))
}

/**
 * What the runtime is started with. Room for all that a start allocates spares the collections of garbage, of
 * which the child's is the dearest: it touches every page that it shares with its parent.
 */
export const START_FLAGS = [...FORK_SAFE_FLAGS, '--min-semi-space-size=4'] as const
