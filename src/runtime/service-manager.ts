/** Telling our own service manager how the container is doing (sd_notify(3)); nothing without `$NOTIFY_SOCKET`. */
import { sendDatagram } from '../sys/fd.ts'

export type ServiceManager = (...fields: readonly string[]) => void

/**
 * @param address of the manager's datagram socket: a path, or `@name` for an abstract one
 * @returns a function that sends fields; a manager that does not answer is no failure of the container
 */
export function serviceManager(address: string | undefined): ServiceManager {
  if (address === undefined || !/^[/@]/.test(address)) return () => {}
  return (...fields) => void sendDatagram(address, fields.join('\n'))
}

/** Says that we are alive to a service manager that watches for it (sd_watchdog_enabled(3)). */
export class Watchdog {
  private readonly manager: ServiceManager
  private readonly everyMs: number | undefined
  private nextMs: number

  constructor(manager: ServiceManager, environment: Readonly<Record<string, string | undefined>>) {
    this.manager = manager
    this.everyMs = aliveInterval(environment)
    this.nextMs = performance.now() + (this.everyMs ?? 0)
  }

  /** When `keepAlive()` wants to be called next; -1 for never. */
  timeoutMs(): number {
    if (this.everyMs === undefined) return -1
    return Math.max(0, Math.ceil(this.nextMs - performance.now()))
  }

  /** Says it when the time has come. */
  keepAlive(): void {
    if (this.everyMs === undefined || performance.now() < this.nextMs) return
    this.nextMs = performance.now() + this.everyMs
    this.manager('WATCHDOG=1')
  }
}

/** Half of the time that the manager waits, if it means this process. */
function aliveInterval(
  environment: Readonly<Record<string, string | undefined>>,
): number | undefined {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment
  if (pid !== undefined && pid !== String(process.pid)) return undefined
  const limit = Number(usec)
  return Number.isInteger(limit) && limit > 0 ? limit / 2000 : undefined
}
