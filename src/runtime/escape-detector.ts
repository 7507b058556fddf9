/**
 * Watches what is typed at the console of a container for the keys that are meant for the runtime:
 * `^]` three times within a second ends the container, `^]^]r` restarts it and `^]^]p` shuts it down
 * (systemd-nspawn(1), the latter two since systemd 258).
 */

export type EscapeAction = 'kill' | 'reboot' | 'power-off'

export interface Scanned {
  /** What goes on to the payload, in order: everything but the keys that completed a sequence. */
  readonly passed: readonly Uint8Array[]
  readonly actions: readonly EscapeAction[]
}

/** `^]`, the group separator, which telnet made the usual escape. */
const ESCAPE = 0x1d
const WINDOW_MS = 1000
/** What a key means as the third of a sequence. */
const THIRD: ReadonlyMap<number, EscapeAction> = new Map([
  [ESCAPE, 'kill'],
  ['r'.charCodeAt(0), 'reboot'],
  ['p'.charCodeAt(0), 'power-off'],
])

/**
 * Goes through input as it comes. Nothing is held back: the first two `^]` have gone on to the payload
 * before anyone can know what follows.
 */
export class EscapeDetector {
  /** When the escapes came that directly precede the next byte; at most two. */
  #escapes: readonly number[] = []

  /**
   * @param input what was read; `passed` holds views of it
   * @param nowMs a clock that never goes back (`performance.now()`)
   */
  scan(input: Uint8Array, nowMs: number): Scanned {
    const passed: Uint8Array[] = []
    const actions: EscapeAction[] = []
    let from = 0
    for (const [at, byte] of input.entries()) {
      const action = this.#next(byte, nowMs)
      if (action === undefined) continue
      actions.push(action)
      if (at > from) passed.push(input.subarray(from, at))
      from = at + 1
    }
    if (from < input.length) passed.push(input.subarray(from))
    return { passed, actions }
  }

  #next(byte: number, nowMs: number): EscapeAction | undefined {
    const recent = this.#escapes.filter((time) => nowMs - time <= WINDOW_MS)
    if (recent.length === 2) {
      const action = THIRD.get(byte)
      if (action !== undefined) {
        this.#escapes = []
        return action
      }
    }
    this.#escapes = byte === ESCAPE ? [...recent, nowMs].slice(-2) : []
    return undefined
  }
}
