/** How fast something goes now: over the last seconds, since the mean of the whole says little after a break. */

const windowMs = 5000

export class Speed {
  private readonly samples: { readonly atMs: number; readonly done: number }[] = []

  /** @param done in all, never less than before */
  note(done: number, nowMs: number = performance.now()): void {
    this.samples.push({ atMs: nowMs, done })
    while (this.samples.length > 2 && nowMs - this.samples[1]!.atMs > windowMs) this.samples.shift()
  }

  /** Units a second; undefined until there is something to tell it by. */
  perSecond(): number | undefined {
    const first = this.samples[0]
    const last = this.samples.at(-1)
    if (first === undefined || last === undefined || last.atMs - first.atMs < 200) return undefined
    return ((last.done - first.done) / (last.atMs - first.atMs)) * 1000
  }

  /** The fields of a progress event. */
  facts(total: number | undefined): { perSecond?: number; remainingSeconds?: number } {
    const perSecond = this.perSecond()
    if (perSecond === undefined) return {}
    const left = total === undefined ? undefined : total - (this.samples.at(-1)?.done ?? 0)
    return {
      perSecond: Math.round(perSecond),
      ...(left === undefined || perSecond === 0
        ? {}
        : { remainingSeconds: Math.ceil(left / perSecond) }),
    }
  }
}
