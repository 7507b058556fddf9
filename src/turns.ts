/** Long synchronous work, done a little at a time, so that signals and progress have their turn. */

const TURN_MS = 8

/** A clock for a loop: `if (turns.isOver) await turns.next()`. */
export class Turns {
  private began = performance.now()

  get isOver(): boolean {
    return performance.now() - this.began >= TURN_MS
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    this.began = performance.now()
  }
}
