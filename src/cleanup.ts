/**
 * One owner for each thing that must be undone. Whoever acquires a mount, lock, child or temporary
 * directory registers its release on the next line; the stack releases in reverse order, survives a
 * failing entry, and is run on success, failure and signal alike.
 */

type Release = () => void | Promise<void>

export class CleanupStack implements AsyncDisposable {
  private entries: { what: string; release: Release }[] = []

  /**
   * Registers `release`, to be called once.
   *
   * @param what the thing in words, for the message when its release fails ("lock of image web")
   * @returns a function that releases it early and forgets it
   */
  defer(what: string, release: Release): () => Promise<void> {
    const entry = { what, release }
    this.entries.push(entry)
    return async () => {
      if (!this.forget(entry)) return
      await release()
    }
  }

  /** Drops everything without releasing: ownership went elsewhere (a rename published it). */
  disarm(): void {
    this.entries = []
  }

  get isEmpty(): boolean {
    return this.entries.length === 0
  }

  /**
   * Releases everything, newest first.
   *
   * @throws AggregateError of the releases that failed; the others have been done all the same
   */
  async releaseAll(): Promise<void> {
    const failures: unknown[] = []
    for (let entry = this.entries.pop(); entry !== undefined; entry = this.entries.pop()) {
      try {
        await entry.release()
      } catch (error) {
        failures.push(new Error(`cannot release ${entry.what}`, { cause: error }))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'clean-up failed')
  }

  /** `releaseAll()` for a forked process, where nothing can be waited for: every release must be done when it returns. */
  releaseAllNow(): void {
    const failures: unknown[] = []
    for (let entry = this.entries.pop(); entry !== undefined; entry = this.entries.pop()) {
      try {
        const pending = entry.release()
        if (pending !== undefined) failures.push(new Error(`${entry.what} takes its time`))
      } catch (error) {
        failures.push(new Error(`cannot release ${entry.what}`, { cause: error }))
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'clean-up failed')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.releaseAll()
  }

  private forget(entry: { what: string; release: Release }): boolean {
    const index = this.entries.indexOf(entry)
    if (index < 0) return false
    this.entries.splice(index, 1)
    return true
  }
}
