/** Work at the same time of which nothing goes on behind the back of whoever has been told that it failed. */

/**
 * @param tasks begun all at once; each is to stop when its signal says so
 * @param signal ends all of them early
 * @returns what they returned, in their order, once all have ended
 * @throws what the first to fail threw; the others are told to stop, and waited for, before
 */
export async function allOrNone<T>(
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
  signal?: AbortSignal,
): Promise<T[]> {
  const stop = new AbortController()
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const failures: unknown[] = []
  const running = tasks.map(async (task) => {
    try {
      return await task(either)
    } catch (error) {
      failures.push(error)
      stop.abort()
      throw error
    }
  })
  await Promise.allSettled(running)
  if (failures.length > 0) throw failures[0]
  return Promise.all(running)
}
