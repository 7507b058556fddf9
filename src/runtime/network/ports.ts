/**
 * Ports of the host that lead into the container: a table of rules of its own, made anew whenever the container's addresses
 * change, and gone with it. Its name has our pid and start time, so that it is found after a kill -9.
 *
 * @see systemd-nspawn(1), `--port=`; nft(8)
 */
import type { CleanupStack } from '../../cleanup.ts'
import { NspawnError } from '../../errors.ts'
import { ownOwner } from '../../owner.ts'
import type { ForwardedPort } from '../../settings/values/network.ts'
import { readIfThere } from '../../read-if-there.ts'
import { drainMonitor } from '../../sys/netlink.ts'
import { note, notes } from './notes.ts'
import { ipOf, nft, quietly, told as toldBy } from './tools.ts'
import { withZones } from './zone.ts'

export const PORTS_PREFIX = 'tsnspawn-ports-'

/** First global address of each kind. */
interface Addresses {
  readonly ipv4: string | undefined
  readonly ipv6: string | undefined
}

/**
 * Takes ports for this container, so that no other one of ours gets them while it runs.
 *
 * @throws NspawnError `PORT_IN_USE` when another container has one of them, or somebody on the host listens there
 */
export function claimPorts(ports: readonly ForwardedPort[], cleanup: CleanupStack): void {
  withZones(() => {
    const taken = notes().filter(({ kind, isStale }) => kind === 'port' && !isStale)
    for (const { protocol, hostPort } of ports) {
      const words = [protocol, String(hostPort)]
      if (taken.some((one) => one.words.join() === words.join()))
        throw inUse(protocol, hostPort, 'another container has it')
      if (isListenedOn(protocol, hostPort))
        throw inUse(protocol, hostPort, 'somebody on the host listens there')
      note('port', words, cleanup)
    }
  })
}

function inUse(protocol: string, port: number, who: string): NspawnError {
  return new NspawnError(`${protocol} port ${port} of the host is in use: ${who}`, {
    code: 'PORT_IN_USE',
    operation: 'forward port',
    hint: 'choose another port of the host',
  })
}

/** proc(5), /proc/net/tcp: the state of a socket that listens; UDP knows no such state, only one without a peer. */
const LISTENING = { tcp: '0A', udp: '07' }

/** By an address that is reached from elsewhere; what listens on loopback addresses is in nobody's way. */
function isListenedOn(protocol: ForwardedPort['protocol'], port: number): boolean {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  return [protocol, `${protocol}6`].some((table) =>
    readIfThere(`/proc/self/net/${table}`)
      .split('\n')
      .some((line) => {
        const [, local = '', , state] = line.trim().split(/\s+/)
        const [address = '', own] = local.split(':')
        const loopback = /^(.{6}7F|0{24}01000000)$/.test(address)
        return own === wanted && state === LISTENING[protocol] && !loopback
      }),
  )
}

export class PortForwarder {
  private readonly table = PORTS_PREFIX + ownOwner()
  private readonly ports: readonly ForwardedPort[]
  private readonly leader: number
  private forwarded: Addresses = { ipv4: undefined, ipv6: undefined }

  /** @param leader a process in the container's network namespace */
  constructor(ports: readonly ForwardedPort[], leader: number) {
    this.ports = ports
    this.leader = leader
    nft('cannot forward ports', `add table inet ${this.table}`)
  }

  /** When the monitor can be read. */
  onNews(monitor: number): void {
    drainMonitor(monitor)
    // Its namespace may have ended meanwhile.
    quietly(() => this.update())
  }

  /** Leads the ports to where the container is now. */
  update(): void {
    const now = addressesOf(this.leader)
    const { ipv4, ipv6 } = this.forwarded
    if (now.ipv4 === ipv4 && now.ipv6 === ipv6) return
    nft('cannot forward ports', rulesOf(this.table, this.ports, now))
    this.forwarded = now
  }

  remove(): void {
    quietly(() => nft('cannot remove a table', `delete table inet ${this.table}`))
  }
}

function rulesOf(table: string, ports: readonly ForwardedPort[], to: Addresses): string {
  const leads = ports.flatMap(({ protocol, hostPort, containerPort }) => {
    const match = `fib daddr type local ${protocol} dport ${hostPort}`
    return [
      ...(to.ipv4 === undefined
        ? []
        : [`meta nfproto ipv4 ${match} dnat ip to ${to.ipv4}:${containerPort}`]),
      ...(to.ipv6 === undefined
        ? []
        : [`meta nfproto ipv6 ${match} dnat ip6 to [${to.ipv6}]:${containerPort}`]),
    ]
  })
  const chain = (hook: string, priority: string, before: readonly string[]) => {
    const lines = [
      `type nat hook ${hook} priority ${priority}`,
      'policy accept',
      ...before,
      ...leads,
    ]
    return `chain ${hook} { ${lines.join('; ')}; };`
  }
  // What is sent from a loopback address has no way into another namespace.
  const notLoopback = ['ip daddr 127.0.0.0/8 accept', 'ip6 daddr ::1 accept']
  return [
    `flush table inet ${table}`,
    `table inet ${table} { ${chain('prerouting', '-101', [])} ${chain('output', '-101', notLoopback)} }`,
  ].join('; ')
}

interface ToldInterface {
  readonly addr_info?: readonly {
    readonly family: string
    readonly local: string
    readonly tentative?: boolean
  }[]
}

function addressesOf(pid: number): Addresses {
  const told = ipOf(pid, 'cannot look at addresses', '-json', 'address', 'show', 'scope', 'global')
  const all = toldBy<ToldInterface>(told).flatMap(({ addr_info: addresses = [] }) => addresses)
  // One that is still being looked for elsewhere is no address yet.
  const first = (family: string) =>
    all.find((one) => one.family === family && one.tentative !== true)?.local
  return { ipv4: first('inet'), ipv6: first('inet6') }
}
