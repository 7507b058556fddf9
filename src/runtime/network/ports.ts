/**
 * Ports of the host that lead into the container: a table of rules of its own, made anew whenever the container's addresses
 * change, and gone with it. Its name has our pid and start time, so that it is found after a kill -9.
 *
 * @see systemd-nspawn(1), `--port=`; nft(8)
 */
import { NspawnError } from '../../errors.ts'
import { isLeftBehind, ownOwner } from '../../owner.ts'
import type { ForwardedPort } from '../../settings/values/network.ts'
import { drainMonitor } from '../../sys/netlink.ts'
import { ipOf, nft, quietly } from './tools.ts'

const PREFIX = 'tsnspawn-ports-'
const tablePattern = /^tsnspawn-ports-(\d+-\d+)$/

/** First global address of each kind. */
interface Addresses {
  readonly ipv4: string | undefined
  readonly ipv6: string | undefined
}

/** @throws NspawnError `PORT_IN_USE` when another container has one of them */
export function checkPorts(ports: readonly ForwardedPort[]): void {
  for (const table of ourTables()) {
    const rules = nft('cannot look at forwarded ports', `list table inet ${table}`)
    const twin = ports.find(({ protocol, hostPort }) =>
      new RegExp(`\\b${protocol} dport ${hostPort}\\b`).test(rules),
    )
    if (twin === undefined) continue
    throw new NspawnError(`${twin.protocol} port ${twin.hostPort} is forwarded already`, {
      code: 'PORT_IN_USE',
      operation: 'nft',
      subject: table,
      hint: 'another container has it; choose another port of the host',
    })
  }
}

/** Tables that killed containers have left. */
export function removeStalePorts(): void {
  for (const table of ourTables()) {
    if (isLeftBehind(table, tablePattern))
      quietly(() => nft('cannot remove a table', `delete table inet ${table}`))
  }
}

export class PortForwarder {
  private readonly table = PREFIX + ownOwner()
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
    this.forwarded = now
    nft('cannot forward ports', rulesOf(this.table, this.ports, now))
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
  const all = (JSON.parse(told === '' ? '[]' : told) as ToldInterface[]).flatMap(
    ({ addr_info: addresses = [] }) => addresses,
  )
  // One that is still being looked for elsewhere is no address yet.
  const first = (family: string) =>
    all.find((one) => one.family === family && one.tentative !== true)?.local
  return { ipv4: first('inet'), ipv6: first('inet6') }
}

function ourTables(): readonly string[] {
  const told = nft('cannot look at tables of rules', 'list tables inet')
  return told
    .split('\n')
    .map((line) => line.replace(/^table inet /, ''))
    .filter((name) => tablePattern.test(name))
}
