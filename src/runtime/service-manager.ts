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
