/**
 * Connects a container that has a network of its own: its links, forwarded ports, and addresses where they are wanted.
 * Runs in the supervisor while the leader waits; what it makes goes with the container, and what a kill -9 leaves goes with
 * the next start.
 */
import type { CleanupStack } from '../../cleanup.ts'
import type { LogSink } from '../../log.ts'
import type { PlannedLink } from '../../plan/network.ts'
import type { ContainerPlan } from '../../plan/plan.ts'
import { close } from '../../sys/fd.ts'
import type { Watched } from '../supervisor.ts'
import { checkLinks, makeLink } from './links.ts'
import { note } from './notes.ts'
import { claimPorts, PortForwarder } from './ports.ts'
import { setUpNetwork } from './setup.ts'

type ShortenedLink = Exclude<PlannedLink, { kind: 'interface' }>

export class NetworkConnection {
  private readonly plan: ContainerPlan
  private readonly cleanup: CleanupStack
  private readonly log: LogSink
  private monitor = -1
  private forwarder: PortForwarder | undefined

  constructor(plan: ContainerPlan, cleanup: CleanupStack, log: LogSink) {
    this.plan = plan
    this.log = log
    this.cleanup = cleanup
  }

  /**
   * @param leader of the container, which waits in its network namespace
   * @param monitor tells of changed addresses there; undefined where no ports are forwarded
   * @throws NspawnError `NO_INTERFACE`, `INTERFACE_EXISTS`, `PORT_IN_USE`, `NO_FREE_NET`, `PROGRAM_…`
   */
  connect(leader: number, monitor: number | undefined): void {
    const { network, users } = this.plan
    if (network === undefined) return
    const { links, ports, setup } = network
    checkLinks(links, 'all')
    if (ports.length > 0 || setup !== undefined) note('rules', [], this.cleanup)
    if (ports.length > 0) claimPorts(ports, this.cleanup)
    for (const link of links) {
      if ('fullName' in link && link.fullName !== undefined) this.tellOfName(link)
      makeLink(link, leader, { cleanup: this.cleanup, log: this.log })
    }
    if (setup !== undefined) setUpNetwork(setup, leader, users?.base ?? 0, this.cleanup)
    if (monitor === undefined) return
    const forwarder = new PortForwarder(ports, leader)
    this.cleanup.defer('forwarded ports', () => {
      forwarder.remove()
      close(monitor)
      this.monitor = -1
    })
    forwarder.update()
    this.forwarder = forwarder
    this.monitor = monitor
  }

  private tellOfName({ name, fullName }: Pick<ShortenedLink, 'name' | 'fullName'>): void {
    const text = `interface ${fullName} is called ${name}, since names have 15 characters at most`
    this.log({ kind: 'notice', text })
  }

  /** For the supervisor to wait for. */
  get watched(): Watched {
    const fd = () => this.monitor
    return {
      get fd() {
        return fd()
      },
      onEvents: () => this.forwarder?.onNews(this.monitor),
    }
  }
}
