/**
 * Who systemd asks to end what is in a scope, before it kills (org.freedesktop.systemd1(5), `RequestStop`): the
 * supervisor, which knows what the container's init takes for a request to halt.
 */
import { NspawnError } from '../errors.ts'
import type { LogSink } from '../log.ts'
import { BusConnection } from './bus-connection.ts'

const SYSTEMD = 'org.freedesktop.systemd1'

export class ScopeController {
  readonly #log: LogSink
  #bus: BusConnection | undefined

  constructor(log: LogSink) {
    this.#log = log
  }

  /** Readable when systemd may have asked; -1 while nobody is connected. */
  get fd(): number {
    return this.#bus?.fd ?? -1
  }

  /**
   * Connects.
   *
   * @returns the name that a scope is given as its `Controller`; undefined, with a warning, when the bus lets nobody in
   */
  connect(): string | undefined {
    try {
      this.#bus ??= new BusConnection()
      return this.#bus.name
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      this.#log({
        kind: 'warning',
        text: `systemd cannot ask the container to stop: ${error.message}`,
        hint: 'it will be killed when its scope is stopped',
      })
      return undefined
    }
  }

  /** Whether systemd, and nobody else, has asked for the end. */
  isAsked(): boolean {
    const bus = this.#bus
    if (bus === undefined) return false
    try {
      const senders = bus
        .takeSignals()
        .filter(
          (signal) => signal.interface === `${SYSTEMD}.Scope` && signal.member === 'RequestStop',
        )
        .map(({ sender }) => sender)
      return senders.length > 0 && senders.includes(bus.ownerOf(SYSTEMD) ?? '')
    } catch (error) {
      if (!(error instanceof NspawnError)) throw error
      // The bus has gone, and with it whoever would ask.
      this.close()
      return false
    }
  }

  close(): void {
    this.#bus?.close()
    this.#bus = undefined
  }
}
