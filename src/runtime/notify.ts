/** Readiness: what the payload says on its notify socket, passed on to our own service manager (sd_notify(3)). */
import { close, receiveMessage } from '../sys/fd.ts'
import type { ServiceManager } from './service-manager.ts'

const MESSAGES_AT_ONCE = 64

export class NotifySocket {
  readonly fd: number
  private readonly leader: number
  private readonly forward: ServiceManager

  /** @param leader only its datagrams count */
  constructor(fd: number, leader: number, forward: ServiceManager) {
    this.fd = fd
    this.leader = leader
    this.forward = forward
  }

  /** Takes what has come in, up to a limit: a payload that never stops talking shall not stop us. */
  receive(): void {
    for (let i = 0; i < MESSAGES_AT_ONCE; i++) {
      const message = receiveMessage(this.fd)
      if (message === 'again' || message === undefined) return
      for (const fd of message.fds) close(fd)
      if (message.senderPid !== this.leader) continue
      const lines = message.data.toString('utf8').split(/[\r\n]+/)
      if (lines.includes('READY=1')) this.forward('READY=1')
      const status = lines.find((line) => line.startsWith('STATUS='))
      if (status !== undefined)
        this.forward(`STATUS=Container running: ${status.slice('STATUS='.length)}`)
    }
  }

  close(): void {
    close(this.fd)
  }
}
