/** Ctrl-C and its kin become an AbortSignal: the same clean-up runs as after a failure. */

export interface Interruption {
  readonly signal: AbortSignal
  /** 128 + number of the signal that came, as shells report it; undefined when none came. */
  status(): number | undefined
  stop(): void
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const

export function catchInterruption(): Interruption {
  const controller = new AbortController()
  let status: number | undefined
  const handlers = Object.entries(numbers).map(([name, number]) => {
    const handler = () => {
      status ??= 128 + number
      controller.abort()
    }
    process.on(name, handler)
    return () => void process.off(name, handler)
  })
  return {
    signal: controller.signal,
    status: () => status,
    stop: () => handlers.forEach((off) => off()),
  }
}
